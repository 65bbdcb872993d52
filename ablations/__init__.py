"""What the paper varies: objectives, replace rates, generators, corpora and steps, and the grid of them."""
