"""Fine-tuning and scoring by two processes, against one process with the whole batch."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from simlm.distributed import even_share, processes, rank
from simlm.errors import UserError
from simlm.finetuning.losses import gather_embeddings, global_batch_loss
from tests.finetuning import two_processes
from tests.finetuning.two_processes import results, scores
from tests.pairs import WORLD, run_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What two processes found."""
    folder = tmp_path_factory.mktemp("two")
    run_pair(two_processes.__name__, folder)
    return [load_file(folder / f"{place}.safetensors") for place in range(WORLD)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    """The same in this process."""
    return results()


def test_two_processes_equal_one(pair: list[dict[str, Tensor]], alone: dict[str, Tensor]) -> None:
    for found in pair:
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            expected = value / WORLD if name == "unscaled" else value
            # Vectors, and what a cross-entropy is taken of, are float32, whatever the encoder computes in.
            torch.testing.assert_close(found[name], expected, atol=2e-6, rtol=1e-5, msg=name)


def test_scores_are_equal_to_the_bit(pair: list[dict[str, Tensor]]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = scores(together=False)
    torch.set_num_threads(threads)
    assert all(torch.equal(found["scores"], expected) for found in pair)


def test_one_process_gathers_nothing() -> None:
    values = torch.ones(2, 3)
    assert (processes(), rank(), even_share(7, "queries")) == (1, 0, 7)
    assert gather_embeddings(values) is values
    assert global_batch_loss(values.sum(), True).item() == pytest.approx(6.0)


def test_an_uneven_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simlm.distributed.processes", lambda: 3)
    with pytest.raises(UserError, match="--processes 3: a batch of 64 queries cannot be shared evenly; choose a divis"):
        even_share(64, "queries")
