"""What `python -m repro.growth` measures: tokenising, encoding and searching collections of growing size."""
