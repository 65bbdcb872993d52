"""Encode a corpus, search it exactly, re-rank what was found, and read and write TREC runs."""
