"""Measures over TREC runs and qrels, intervals and paired tests."""
