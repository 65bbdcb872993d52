"""How large a pack of a training is. Imports nothing: a dry run reckons with it too."""

MAX_TOKENS = 80_000
"""Of a pack: with half as many an H200 spent longer between kernels, and on adding up gradients."""
ROUND_TO = 2_048
"""On a GPU its tokens are filled up to a multiple of it, so that packs have few shapes: each is compiled for once, and
pre-training has batches of all lengths."""
ROUND_PAIRS_TO = 4_096
"""The same of the re-ranker, whose packs differ more: in their numbers of groups, and in the pairs that are kept."""
SEQUENCES = 256
"""And its texts, with empty ones, to a multiple of this."""
