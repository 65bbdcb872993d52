"""Turns results into pages: tables, plots, provenance. Generated reports lie in folders named by scale."""
