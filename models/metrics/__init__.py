"""What judges a fused picture."""
