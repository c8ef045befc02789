"""Files by URI on local disks and object stores, and collections too large for memory."""
