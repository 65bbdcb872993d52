"""What `python -m repro.bench` measures: each hot path beside the straightforward way to do it, in one run.

Needs torch, transformers, numpy and this repository, and nothing else: machines with a GPU often have no more.
"""
