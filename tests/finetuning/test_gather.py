"""Contrastive training of two processes against one process with the whole batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from simlm.finetuning.gather import gather_embeddings, global_batch_loss
from simlm.finetuning.losses import contrastive_loss
from simlm.finetuning.ranking import reciprocal_ranks
from simlm.group import processes, rank
from tests.finetuning import two_processes
from tests.finetuning.two_processes import GROUP, WORLD, Encoder, gradients, texts

ROOT = Path(__file__).parents[2]


def test_two_processes_equal_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", two_processes.__name__]
    workers = [subprocess.Popen([*command, str(place), str(tmp_path)], cwd=ROOT) for place in range(WORLD)]
    try:
        assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    results = [torch.load(tmp_path / f"{place}.pt", weights_only=True) for place in range(WORLD)]
    encoder = Encoder()
    queries, passages = encoder(*texts())
    loss = contrastive_loss(queries, passages, 0.1)
    loss.backward()
    for result in results:
        torch.testing.assert_close(result["loss"], loss.detach(), atol=1e-12, rtol=0)
        torch.testing.assert_close(result["scaled"], gradients(encoder), atol=1e-12, rtol=0)
        torch.testing.assert_close(result["plain"], gradients(encoder) / WORLD, atol=1e-12, rtol=0)
    ranks = torch.cat([result["ranks"] for result in results])
    assert torch.equal(ranks, reciprocal_ranks(queries, passages, GROUP))


def test_one_process_gathers_nothing() -> None:
    values = torch.ones(2, 3)
    assert (processes(), rank()) == (1, 0)
    assert gather_embeddings(values) is values
    assert global_batch_loss(values.sum(), True).item() == pytest.approx(6.0)
