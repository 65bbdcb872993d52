"""A results folder whose run was killed, and in which the disk then lost a bit or a file."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.damaging import empty, flip
from tests.workflow.driving import Ran, drive, kill_all, made, start, steps, until

MANY = {"SIMLM_TOY_STEPS": "15"}
CASES = max(3, settings.default.max_examples // 6) if settings.default else 3
"""Each runs stages."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leaf is done, what stands on it is under way."""
    folder = tmp_path_factory.mktemp("killed") / "results"
    driver = start(folder, "tree", **MANY)
    until(lambda: len(steps(folder, "sum")) >= 12, "steps of the sums")
    kill_all(driver, folder)
    return folder


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return drive(tmp_path_factory.mktemp("calm") / "results")


def files_of(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size
    )


@settings(max_examples=CASES)
@given(number=st.integers(0, 2**32))
def test_a_changed_bit_anywhere_changes_no_outcome(killed: Path, calm: Ran, number: int, tmp_path_factory) -> None:
    results = Path(shutil.copytree(killed, tmp_path_factory.mktemp("copy") / "results", symlinks=True))
    rng = random.Random(number)
    path = rng.choice(files_of(results))
    flip(path, rng.randrange(path.stat().st_size))
    again = drive(results, **MANY)
    if again.status == 0:
        assert made(again) == made(calm), path
    else:
        assert len(again.said("mistake") + again.said("failure")) == 1, (path, again)


@pytest.mark.parametrize("damage", [flip, empty])
def test_a_damaged_step_is_made_again_and_the_driver_says_so_once(
    damage: Callable[[Path], None], killed: Path, calm: Ran, tmp_path: Path
) -> None:
    results = Path(shutil.copytree(killed, tmp_path / "results", symlinks=True))
    last = max(steps(results, "sum"), key=lambda path: int(path.name.removeprefix("step-")))
    damage(last)
    again = drive(results, **MANY)
    assert made(again) == made(calm)
    assert any(said.endswith(f": {last} is damaged or unfinished: it is made again") for said in again.said("said"))
    empty(again.jobs["leaf"] / "manifest.json")  # what stands on it is finished, and said that then
    assert not [said for said in drive(results, **MANY).said("said") if str(last) in said]


def test_work_whose_inputs_cannot_be_told_is_begun_again_and_the_driver_says_so(
    killed: Path, calm: Ran, tmp_path: Path
) -> None:
    results = Path(shutil.copytree(killed, tmp_path / "results", symlinks=True))
    job = steps(results, "sum")[0].parents[2]
    empty(job / "depends_on.json")
    again = drive(results, **MANY)
    assert made(again) == made(calm)
    assert any(f"{job / 'work'} is not used" in said for said in again.said("said"))
