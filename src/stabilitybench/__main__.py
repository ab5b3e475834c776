"""The command line, as ``python -m stabilitybench``."""

import sys

from stabilitybench.cli import main

if __name__ == "__main__":
    sys.exit(main())
