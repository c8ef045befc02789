"""What a Flex Template's launcher starts: the template's parameters become one `lutfuse fuse`."""

import sys

from lutfuse.pipeline.cli import main
from lutfuse.pipeline.template import command_line

if __name__ == "__main__":
    sys.exit(main(["fuse", *command_line(sys.argv[1:])]))
