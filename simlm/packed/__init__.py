"""How the texts of a batch lie in memory: padded to one length, or packed end to end in one row without padding.

Packs are computed with on GPUs, where they save about half of the work; on a CPU padded batches are as fast.
`simlm.packed.layouts` chooses. The sizes below stand here because a dry run needs them and must not import torch.
"""

MAX_TOKENS = 80_000
"""Tokens of a pack in training. With half as many an H200 spent longer between kernels, and on adding up gradients."""
ROUND_TO = 2_048
"""On a GPU a pack is filled up to a multiple of so many tokens, so that packs have few shapes: torch compiles each
shape once, and updates differ in their tokens."""
ROUND_PAIRS_TO = 4_096
"""The same for the re-ranker, whose packs differ more: in their number of groups and in the pairs that are kept."""
SEQUENCES = 256
"""On a GPU the number of texts of a pack, with empty ones, is a multiple of this."""
