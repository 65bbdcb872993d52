"""Named collections, and tokenised memory-mapped stores of them."""
