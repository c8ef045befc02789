"""How good is a fused image? Scores against a reference, and against the bracket it was fused from.

Unless a docstring says otherwise, images are [H, W, 3] RGB, uint8 or uint16, all of one size; anything else,
and an image too small for a metric's window, raises ValueError (the job writes null into that column). A
score is a plain float, the same whatever the number of threads.
"""
