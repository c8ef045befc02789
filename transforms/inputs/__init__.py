"""What to fuse: brackets from folders, globs, manifests and EXIF."""
