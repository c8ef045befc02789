"""Beam transforms: plain functions that do the work, and thin DoFns that call and count them."""
