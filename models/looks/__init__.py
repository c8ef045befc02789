"""Looks and `.cube` files. A look never sees a pixel: it edits the weight grid and the LUT of a bracket."""
