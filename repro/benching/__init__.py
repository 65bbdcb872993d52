"""What `python -m repro.bench` measures: each hot path beside the straightforward way to do it, in one run.

Needs torch, transformers, numpy and this repository, and nothing else: a lent GPU rarely has more.
"""
