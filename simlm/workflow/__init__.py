"""Stages, their plan and their processes: runs a graph of configurations, each once. Knows nothing of retrieval."""
