"""Looks and `.cube` files: edits of the weight grid and the LUT, never of pixels."""
