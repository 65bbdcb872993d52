"""Joining results folders: finished stages are taken, two results for one configuration are refused."""

import shutil
from pathlib import Path

import pytest

from simlm.errors import UserError
from simlm.workflow.joining import joinable, take
from simlm.workflow.manifest import MANIFEST
from simlm.workflow.plan import plan
from tests.workflow.driving import damage, drive
from tests.workflow.toy import SHAPES, Number, Restless

TREE = SHAPES["tree"]
RESTLESS = SHAPES["restless"]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the tree, made on another machine."""
    folder = tmp_path_factory.mktemp("elsewhere") / "results"
    assert drive(folder).status == 0
    return folder


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target, symlinks=True)
    return target


def job(folder: Path, name: str, shape: str = "tree") -> Path:
    """The folder of a stage."""
    (found,) = [stage.job for stage in plan(SHAPES[shape], folder)[0] if stage.name == name]
    return found


def names(results: Path, *others: Path) -> list[str]:
    return [one.stage.name for one in joinable(TREE, results, others).stages]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_all_that_is_finished_is_taken_and_nothing_is_run_again(elsewhere: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    joined = joinable(TREE, results, [elsewhere]).stages
    assert [one.stage.name for one in joined] == ["leaf", "left", "right", "top"] and not results.exists()
    assert take(joined) == 4
    assert all(stage.finished for stage in plan(TREE, results)[0])
    again = drive(results)
    assert again.status == 0 and again.made == []
    assert names(results, elsewhere) == []  # equal results are no conflict, and are there already


def test_what_is_damaged_there_is_not_taken(elsewhere: Path, tmp_path: Path) -> None:
    there = copy(elsewhere, tmp_path / "there")
    damage(job(there, "left"))
    assert names(tmp_path / "results", there) == ["leaf", "right"]  # top stands on left
    left, top = joinable(TREE, tmp_path / "results", [there]).refused
    assert left.startswith(f"not taken: left ({job(there, 'left')}): ") and "checksum" in left
    assert top.startswith(f"not taken: top ({job(there, 'top')}): it stands on ") and "neither here nor" in top
    assert joinable(TREE, elsewhere, [there]).refused == []  # nothing is missed where it is finished here
    (job(there, "right") / MANIFEST).write_text("{", encoding="utf-8")
    _, right, _ = joinable(TREE, tmp_path / "results", [there]).refused
    assert right.endswith(": its manifest is damaged")
    shutil.rmtree(job(there, "right"))
    assert names(tmp_path / "results", there) == ["leaf"]


def test_an_unfinished_stage_here_is_replaced_and_a_stage_is_taken_upon_what_is_here(
    elsewhere: Path, tmp_path: Path
) -> None:
    here = copy(elsewhere, tmp_path / "here")
    left = job(here, "left")
    shutil.rmtree(left)
    (left / "work").mkdir(parents=True)
    damage(job(here, "top"))
    there = copy(elsewhere, tmp_path / "there")
    shutil.rmtree(job(there, "leaf"))
    take(joinable(TREE, here, [there]).stages)
    assert all(stage.finished for stage in plan(TREE, here)[0])
    assert not (left / "work").exists() and not list(here.rglob("*.partial"))


def test_two_different_results_for_one_configuration_are_refused_with_both_named(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        assert drive(folder, "restless").status == 0
    shutil.rmtree(job(here, "top", "restless"))
    before = files(tmp_path)
    with pytest.raises(UserError) as refused:
        joinable(RESTLESS, here, [there])
    assert str(job(here, "leaf", "restless")) in str(refused.value)
    assert str(job(there, "leaf", "restless")) in str(refused.value)
    with pytest.raises(UserError, match="two different results for one configuration, leaf: "):
        joinable(RESTLESS, tmp_path / "new", [here, there])
    assert files(tmp_path) == before


def test_a_stage_that_never_leaves_the_same_bytes_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as Lucene's index. What stands on the other copy is judged by the one that is here."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        assert drive(folder, "restless").status == 0
    for name in ("left", "right", "top"):
        shutil.rmtree(job(here, name, "restless"))
    monkeypatch.setattr(Restless, "reproducible", False)
    assert joinable(RESTLESS, here, [there]).stages == []
    assert len(joinable(RESTLESS, tmp_path / "new", [there, here]).stages) == 4
    assert Number.reproducible


def test_a_folder_without_stages_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--join .*nowhere: no results folder"):
        joinable(TREE, tmp_path / "results", [tmp_path / "nowhere"])
