"""`python -m synthflaw` is the command `synthflaw`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
