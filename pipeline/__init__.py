"""Command line and graph: turns options into a Beam pipeline."""
