"""Models: made new in a scale's shape, loaded from the Hub or a folder, and saved with a card."""
