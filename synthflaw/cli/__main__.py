"""`python -m synthflaw.cli` is the command `synthflaw`."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
