"""`python -m edgebox` is the command `edgebox`."""

import sys

from edgebox.cli import main

if __name__ == "__main__":
    sys.exit(main())
