"""Files by URI, on local disks and in object stores, and collections too large for memory."""
