"""Scoring for distillation that was interrupted: whole blocks are kept, damaged ones are scored again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simlm.data.store import TokenisedCollection
from simlm.stages.work import reranker
from tests.damaging import empty, flip, truncate
from tests.stages.finetuning import GROUP, SEED, STEPS, lists_of, prepare


class Killed(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    prepare(path)
    return path


@pytest.mark.parametrize("damage", [None, flip, empty, truncate])
def test_blocks_of_scores_are_taken_over_only_as_they_were_written(
    damage: Callable[[Path], None] | None,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """21 lists in blocks of five."""
    monkeypatch.setattr(reranker, "LISTS_AT_A_TIME", 5)
    collection = TokenisedCollection.open(folder / "store")
    scored: list[int] = []

    def score_blocks(name: str, kill_at: int) -> dict[str, bytes]:
        def score(query: np.ndarray, passage: np.ndarray) -> np.ndarray:
            if len(scored) == kill_at:
                raise Killed
            scored.append(int(query[0]))
            return (query * 1000 + passage).astype(np.float32)

        scored.clear()
        monkeypatch.setattr(reranker, "_pair_scorer", lambda *_, **__: score)
        lists, output = lists_of(collection, "train"), tmp_path / name / "output"
        work = tmp_path / name / "work"
        reranker.score_for_teaching(
            collection, folder, lists, "train", STEPS, 3, False, SEED, GROUP, 32, "cpu", False, work, output
        )
        return {path.name: path.read_bytes() for path in output.iterdir()}

    whole = score_blocks("whole", -1)
    with pytest.raises(Killed):
        score_blocks("cut", 3)
    block = tmp_path / "cut" / "work" / "scores" / "5.npy"
    if damage is not None:
        damage(block)
    capsys.readouterr()
    assert score_blocks("cut", -1) == whole
    assert scored == ([15, 20] if damage is None else [5, 15, 20])
    assert (f"{block} is damaged or unfinished: it is made again" in capsys.readouterr().err) == (damage is not None)
