"""A bracket made from nothing: a room with a window, and the camera that photographs it."""
