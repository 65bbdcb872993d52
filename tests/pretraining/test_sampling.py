"""Gumbel draws follow the softmax, and depend on a row's key and on nothing else."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from torch import Tensor, nn

from simlm.packed.forwards import prepare
from simlm.pretraining.generator import gumbel_argmax, keys_of, sample_by_noise
from simlm.pretraining.objective import ObjectiveConfig
from simlm.pretraining.packed_batch import PackedBatch
from simlm.pretraining.packing import PackingCollator
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from tests.pretraining.toys import CONFIG, PIECES, bert, electra, examples

DRAWS = 40_000


def keys(seed: int = 0, count: int = DRAWS) -> Tensor:
    return keys_of(torch.from_numpy(np.random.default_rng(seed).random(count)))


def p_value(drawn: Tensor, probabilities: Tensor) -> float:
    """Of a chi-square test; words expected fewer than 5 times count as one."""
    counts = np.bincount(drawn.numpy(), minlength=len(probabilities))
    expected = probabilities.double().numpy() * len(drawn)
    common = expected >= 5
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    kept = wanted > 0
    assert observed[~kept].sum() == 0
    return float(chisquare(observed[kept], wanted[kept] * observed.sum() / wanted.sum()).pvalue)


def test_draws_follow_the_softmax() -> None:
    for seed, spread in ((0, 0.0), (1, 1.0), (2, 3.0)):
        logits = torch.randn(60, generator=torch.Generator().manual_seed(seed)) * spread
        drawn = gumbel_argmax(logits.expand(DRAWS, -1), keys(seed))
        assert p_value(drawn, logits.double().softmax(0)) > 1e-3


def test_draws_follow_the_softmax_over_a_large_vocabulary() -> None:
    logits = torch.randn(2_003, generator=torch.Generator().manual_seed(3)) * 2
    drawn = torch.cat([gumbel_argmax(logits.expand(len(part), -1), part) for part in keys(4)[:6_000].split(2_000)])
    assert p_value(drawn, logits.double().softmax(0)) > 1e-3


def test_the_two_draws_of_neighbouring_keys_are_independent() -> None:
    uniforms = torch.arange(DRAWS, dtype=torch.float64) / 2**53  # keys that differ in their last bits only
    drawn = gumbel_argmax(torch.zeros(8).expand(DRAWS, -1), keys_of(uniforms))
    pairs = drawn[:-1:2] * 8 + drawn[1::2]
    assert p_value(pairs, torch.full((64,), 1 / 64)) > 1e-3


def test_noise_is_gumbel_distributed() -> None:
    logits = torch.tensor([0.0, 0.7])
    agreed = [
        float((gumbel_argmax(logits.expand(1_000, -1), keys(seed, 1_000)) == 1).float().mean()) for seed in range(60)
    ]
    share = float(torch.sigmoid(torch.tensor(0.7)))
    normal = (np.array(agreed) - share) / np.sqrt(share * (1 - share) / 1_000)
    assert kstest(normal, "norm").pvalue > 1e-3


def test_a_draw_depends_on_its_own_key_only() -> None:
    output = nn.Linear(8, 50)
    rows, uniforms = torch.randn(30, 8), torch.rand(30, dtype=torch.float64)
    whole = sample_by_noise(rows, output, uniforms)
    order = torch.randperm(30)
    assert torch.equal(sample_by_noise(rows[order], output, uniforms[order]), whole[order])


def test_a_word_of_probability_zero_is_never_drawn() -> None:
    logits = torch.zeros(3)
    logits[1] = -torch.inf
    assert set(gumbel_argmax(logits.expand(DRAWS, -1), keys(5)).tolist()) == {0, 2}


def test_gumbel_samples_do_not_depend_on_how_passages_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PackedBatch, "drawn", lambda batch, *given: sample_by_noise(*given))  # as on a GPU
    objective = ReplacedLM.build(bert(), electra(), PIECES, CONFIG).eval()
    prepare(objective, compiled=False)
    masks, rows = NestedMaskCollator(PIECES, CONFIG), examples([20] * 30)

    def replaced(collator: PackingCollator) -> torch.Tensor:
        parts = collator(rows, 64)
        read = [PackedBatch(part).replaced(objective.replacer, "decoder") for part in parts]
        return torch.cat([ids[0, : part.pack.tokens] for ids, part in zip(read, parts, strict=True)])

    whole, small = replaced(PackingCollator(masks, 10_000)), PackingCollator(masks, 64)
    assert len(small(rows, 64)) > 1 and torch.equal(replaced(small), whole)
    assert torch.equal(replaced(PackingCollator(masks, 10_000, round_to=64, max_length=48)), whole)
    other = NestedMaskCollator(PIECES, ObjectiveConfig(0.3, 0.5, False, 8))
    assert not torch.equal(replaced(PackingCollator(other, 10_000)), whole)
