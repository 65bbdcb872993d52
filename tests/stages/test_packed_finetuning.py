"""Fine-tuning over packs, against what it does over padded batches: losses, figures, checkpoints."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.pairs import run_pair
from tests.stages import two_processes
from tests.stages.finetuning import KINDS, STEPS, prepare, run

WITHOUT_GRADIENT = ("key.bias", "classifier.out_proj.bias")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What trainings stand on."""
    folder = tmp_path_factory.mktemp("fine-tuning")
    prepare(folder)
    return folder


@pytest.fixture
def padded(folder: Path, kind: str) -> dict[str, Any]:
    """Figures of the padded training, made once."""
    figures = folder / f"{kind}.json"
    if not figures.is_file():
        figures.write_text(json.dumps(run(kind, folder, f"padded {kind}", packed=False)))
    found: dict[str, Any] = json.loads(figures.read_text())
    return found


def log(folder: Path) -> list[dict[str, float]]:
    entries: list[dict[str, float]] = json.loads((folder / "output" / "losses.json").read_text())
    return entries


def assert_same_training(ours: Path, theirs: Path) -> None:
    """The same logged values, and the same weights up to what another order of sums does to a few updates.

    No loss depends on ``WITHOUT_GRADIENT``: rounding errors are all that these have, which Adam makes large.
    """
    mine, expected = log(ours), log(theirs)
    assert [entry.keys() for entry in mine] == [entry.keys() for entry in expected]
    for one, other in zip(mine, expected, strict=True):
        for name, value in one.items():
            assert value == pytest.approx(other[name], rel=1e-3, abs=1e-6), name
    weights, wanted = (load_file(one / "output" / "model" / "model.safetensors") for one in (ours, theirs))
    assert weights.keys() == wanted.keys()
    for name, weight in wanted.items():
        if not name.endswith(WITHOUT_GRADIENT):
            torch.testing.assert_close(weights[name], weight, atol=2e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("fit", [0, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_stages_learn_the_same(
    kind: str, fit: int, folder: Path, padded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for a whole batch, and for a hundred tokens at a time."""
    made: list[int] = []
    monkeypatch.setattr("simlm.packed.layouts.texts_that_fit", lambda *_: made.append(fit) or fit)
    own = folder / f"packed {kind} {fit}"
    figures = run(kind, folder, own.name, packed=True)
    assert made == [fit]  # it did run on packs
    assert_same_training(own, folder / f"padded {kind}")
    assert figures["tokens"] == padded["tokens"] and figures["best_step"] == padded["best_step"]
    configs = [(one / "output" / "model" / "config.json").read_bytes() for one in (own, folder / f"padded {kind}")]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_either_resumes_the_other(
    kind: str, packed: bool, folder: Path, padded: dict[str, Any], tmp_path: Path
) -> None:
    theirs = folder / f"padded {kind}"
    if not packed:
        theirs = folder / f"whole {kind}"
        run(kind, folder, theirs.name, packed=True)
    own = folder / f"resumed {kind} {packed}"
    shutil.copytree(theirs / "work", own / "work")
    shutil.rmtree(own / "work" / f"checkpoint-{STEPS}")
    figures = run(kind, folder, own.name, packed=packed)
    assert 0 < figures["resumed_from_step"] < STEPS
    assert_same_training(own, folder / f"padded {kind}")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Path:
    """Where two processes trained together on packs."""
    run_pair(two_processes.__name__, folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one(kind: str, pair: Path, padded: dict[str, Any]) -> None:
    assert_same_training(pair / f"two {kind}", pair / f"padded {kind}")
    assert json.loads((pair / f"two {kind}.json").read_text())["tokens"] == padded["tokens"]
