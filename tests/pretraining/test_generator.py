"""Sampling from the generator's softmax, and what is replaced by it."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from simlm.data.inputs import batch_inputs
from simlm.pretraining.generator import Replacer, sample_tokens
from tests.pretraining.toys import MASK, PIECES, electra, examples, log_softmax

DRAWS = 20_000


def passages(titled: bool = True) -> tuple[dict[str, Tensor], Tensor]:
    """Three padded passages and a mask over some of their tokens."""
    rows = examples([20, 13, 9], titled=titled)
    batch = batch_inputs([(row.ids, row.types) for row in rows], PIECES.specials)
    generator = torch.Generator().manual_seed(3)
    masked = (torch.rand(batch["input_ids"].shape, generator=generator) < 0.4) & (batch["input_ids"] > MASK)
    return batch, masked


def uniforms(count: int, seed: int = 11) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(count))


def test_sample_tokens_follows_the_softmax() -> None:
    logits = torch.randn(3, 12, generator=torch.Generator().manual_seed(1)) * 2
    for row in logits:
        counts = np.bincount(sample_tokens(row.expand(DRAWS, -1), uniforms(DRAWS)).numpy(), minlength=12)
        expected = np.exp(log_softmax(row.numpy())) * DRAWS
        assert chisquare(counts, expected).pvalue > 0.01


def test_sample_tokens_inverts_the_cumulative_distribution() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.0, 0.5, 0.3]])).expand(6, -1)
    drawn = sample_tokens(logits, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.999999]))
    assert drawn.tolist() == [0, 0, 2, 2, 3, 3]


def test_a_token_without_weight_is_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 1.0, -torch.inf, 0.5, -torch.inf]]).expand(3, -1)
    almost_one = float(np.nextafter(1.0, 0.0))  # 1.0 in float32
    assert sample_tokens(logits, torch.tensor([0.0, 0.9999999, almost_one], dtype=torch.float64)).tolist() == [1, 3, 3]


def test_masked_positions_are_sampled_and_no_others() -> None:
    batch, masked = passages()
    draws = uniforms(int(masked.sum()))
    generator = electra().eval()
    replaced = Replacer(generator, MASK, dropout=False)(**batch, masked=masked, uniforms=draws)
    assert torch.equal(replaced[~masked], batch["input_ids"][~masked])
    with torch.no_grad():
        hidden = batch | {"input_ids": torch.where(masked, MASK, batch["input_ids"])}
        logits = generator(**hidden).logits[masked]
    cumulative = np.exp(log_softmax(logits.numpy())).cumsum(axis=1)
    expected = [
        int(np.searchsorted(row, draw, side="right")) for row, draw in zip(cumulative, draws.numpy(), strict=True)
    ]
    assert replaced[masked].tolist() == expected


def test_nothing_masked_changes_nothing() -> None:
    batch, masked = passages()
    nothing = torch.zeros_like(masked)
    replaced = Replacer(electra(), MASK, dropout=False)(**batch, masked=nothing, uniforms=uniforms(0))
    assert torch.equal(replaced, batch["input_ids"])


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_of_the_generator_is_a_choice(dropout: bool) -> None:
    batch, masked = passages()
    draws = uniforms(int(masked.sum()))
    replacer = Replacer(electra(dropout=0.5), MASK, dropout)
    owner = torch.nn.Sequential(replacer).train()
    passes = {tuple(replacer(**batch, masked=masked, uniforms=draws)[masked].tolist()) for _ in range(8)}
    assert replacer.generator.training is dropout
    assert (len(passes) > 1) is dropout
    owner.eval()
    passes = {tuple(replacer(**batch, masked=masked, uniforms=draws)[masked].tolist()) for _ in range(8)}
    assert not replacer.generator.training
    assert len(passes) == 1
