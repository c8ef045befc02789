"""Command line and graph: turns flags into a Beam pipeline."""
