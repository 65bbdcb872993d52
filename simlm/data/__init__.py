"""Named collections, tokenised memory-mapped stores, and batches of them."""
