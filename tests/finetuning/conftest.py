"""A tiny encoder and padded batches, shared by the tests of this folder."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

VOCABULARY = 40


@pytest.fixture
def bert() -> BertModel:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
    )
    config._attn_implementation = "sdpa"
    return BertModel(config)


@pytest.fixture
def padded() -> Callable[[list[int]], dict[str, Tensor]]:
    """From lengths (N) to inputs (N, L) padded on the right."""

    def make(lengths: list[int]) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(sum(lengths))
        shape = (len(lengths), max(lengths))
        mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        return {
            "input_ids": torch.randint(5, VOCABULARY, shape, generator=generator) * mask,
            "attention_mask": mask.long(),
            "token_type_ids": torch.randint(0, 2, shape, generator=generator) * mask,
        }

    return make
