"""Memory and time as a collection grows: `python -m repro.growth --help` lists the options."""

import sys

from benchmarks.growth.command import main

if __name__ == "__main__":
    sys.exit(main())
