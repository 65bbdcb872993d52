"""Speed of every hot path beside the straightforward way: `python -m repro.bench --help` lists the options."""

from benchmarks.speed.command import main

if __name__ == "__main__":
    main()
