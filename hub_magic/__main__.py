"""The entry of `python -m hub_magic`, the same as `hub-magic`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
