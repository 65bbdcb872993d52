"""Models, runs and training files in the formats that a neighbour's tool reads."""
