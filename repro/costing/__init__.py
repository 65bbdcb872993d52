"""What `python -m repro.costs` computes: tables of costs, from the same arithmetic as a dry run."""
