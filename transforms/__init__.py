"""Beam transforms: pure functions first, then the DoFns that call and count."""
