"""One module a table or figure of the paper, and the paper's numbers as data."""
