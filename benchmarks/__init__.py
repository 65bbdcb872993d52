"""How fast the code is and how its memory grows: what `python -m repro.bench` and `python -m repro.growth` measure."""
