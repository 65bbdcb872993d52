"""Turn results into pages: tables, plots, provenance. The published reports are in folders named by their scale."""
