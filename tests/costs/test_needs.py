"""What is said of stages that are larger than a GPU's memory."""

from pathlib import Path

from simlm.costs.memory import Memory
from simlm.costs.needs import misfits
from simlm.costs.work import Work


def test_batches_that_do_not_fit_go_in_parts(tmp_path: Path) -> None:
    works = {
        "fits": Work(memory=Memory(10e9, 1e9, 60)),
        "four parts": Work(memory=Memory(12e9, 3e9, 64)),  # 60 of 80 GB hold 20 of its texts
        "no text": Work(memory=Memory(10e9, 70e9, 2)),
        "no weights": Work(memory=Memory(90e9, 1e9, 1)),
    }
    assert misfits(works, tmp_path, 80e9) == [
        "not the whole batch at once in 80.0 GB of GPU memory: four parts (204.0 GB); in 4 parts they fit, one after "
        "the other or on as many GPUs",
        "not the whole batch at once in 80.0 GB of GPU memory: no text (150.0 GB), no weights (91.0 GB); take a larger "
        "GPU",
    ]
