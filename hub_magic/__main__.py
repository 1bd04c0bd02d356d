"""`python -m hub_magic` is `hub-magic`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
