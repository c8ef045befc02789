"""`python -m pipeline` is `lutfuse`."""

import sys

from pipeline.cli import main

sys.exit(main())
