"""Memory and time as a collection grows: `python -m repro.growth --help` lists the options."""

from benchmarks.growth.command import main

if __name__ == "__main__":
    main()
