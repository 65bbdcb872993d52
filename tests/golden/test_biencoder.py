"""The bi-encoder computes the released losses, gradients, vectors and scores, in every layout."""

import numpy as np
import pytest
import torch

from tests.golden.project import (
    BIENCODER_LAYOUTS,
    BiEncoderRun,
    contrastive_loss,
    distillation_loss,
    reciprocal_ranks,
)
from tests.golden.values import BIENCODER, assert_same

TEMPERATURE, GROUP, ALPHA = BIENCODER["temperature"], BIENCODER["n_passages"], BIENCODER["alpha"]
TEACHER = torch.tensor(BIENCODER["kd_labels"])
RESULTS = BIENCODER["results"]
QUERY_VECTORS, PASSAGE_VECTORS = torch.tensor(BIENCODER["q_reps"]), torch.tensor(BIENCODER["p_reps"])


@pytest.mark.parametrize("layout", BIENCODER_LAYOUTS)
@pytest.mark.parametrize("kind", ["contrastive", "kd"])
def test_losses_and_gradients(kind: str, layout: str) -> None:
    released, taught = RESULTS[kind], kind == "kd"
    run = BiEncoderRun(layout, TEMPERATURE, ALPHA if taught else None)
    outputs = run.losses(BIENCODER["q"], BIENCODER["p"], GROUP, TEACHER if taught else None)
    assert_same(outputs["loss"], released["loss"])
    if taught:
        contrastive = RESULTS["contrastive"]["loss"]
        assert_same(outputs["contrastive"], contrastive)
        assert_same(outputs["distillation"], released["loss"] - ALPHA * contrastive)
    outputs["loss"].backward()
    assert_same(run.gradient_norm(), released["grad_word"])
    scores = torch.tensor(released["scores"])
    positives = scores.gather(1, GROUP * torch.arange(len(scores))[:, None])
    assert torch.equal(outputs["reciprocal_ranks"], 1 / (1 + (scores > positives).sum(dim=1)))
    assert outputs["accuracy"] == (outputs["reciprocal_ranks"] == 1).float().mean()


@pytest.mark.parametrize("layout", BIENCODER_LAYOUTS)
def test_vectors_and_scores(layout: str) -> None:
    run = BiEncoderRun(layout, TEMPERATURE)
    queries = run.encode(BIENCODER["q"])
    passages = run.encode(BIENCODER["p"])
    assert_same(queries, QUERY_VECTORS)
    assert_same(passages, PASSAGE_VECTORS)
    for released in RESULTS.values():
        assert_same(queries @ passages.T / TEMPERATURE, released["scores"])


def test_losses_of_the_released_vectors_and_scores() -> None:
    """Without any model: the contrastive loss alone, and distillation beside it."""
    contrastive = contrastive_loss(QUERY_VECTORS, PASSAGE_VECTORS, TEMPERATURE)
    assert_same(contrastive, RESULTS["contrastive"]["loss"])
    scores = torch.tensor(RESULTS["kd"]["scores"])
    own = torch.stack([row[GROUP * i : GROUP * (i + 1)] for i, row in enumerate(scores)])
    assert_same(distillation_loss(own, TEACHER) + ALPHA * contrastive, RESULTS["kd"]["loss"])


def test_ranks_of_positives_are_those_of_the_released_scores() -> None:
    scores = np.array(RESULTS["contrastive"]["scores"])
    ranks = [1 + int((row > row[GROUP * i]).sum()) for i, row in enumerate(scores)]
    ours = reciprocal_ranks(QUERY_VECTORS, PASSAGE_VECTORS, GROUP)
    assert ours.tolist() == pytest.approx([1 / rank for rank in ranks])
