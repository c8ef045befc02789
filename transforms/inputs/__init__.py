"""Brackets from folders, globs, manifests and EXIF."""
