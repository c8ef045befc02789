"""`python -m lutfuse` runs the command `lutfuse`."""

import sys

from lutfuse.pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
