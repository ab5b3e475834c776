"""The command line, as ``python -m stabilitybench``."""

from stabilitybench.cli import main

if __name__ == "__main__":
    main()
