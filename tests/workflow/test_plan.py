"""Plans: what would run and why, without writing anything."""

from pathlib import Path

import pytest

from simlm.files import checksums, write_sealed
from simlm.workflow.manifest import MANIFEST, outputs_digest, read_manifest
from simlm.workflow.plan import Planned, plan
from tests.workflow.toy import SHAPES


def planned(results: Path, shape: str = "tree") -> dict[str, Planned]:
    stages, _ = plan(SHAPES[shape], results)
    return {stage.name: stage for stage in stages}


def finish(stage: Planned, content: str = "1\n") -> None:
    """Leave what a stage leaves that ended well."""
    (stage.job / "output").mkdir(parents=True, exist_ok=True)
    (stage.job / "output" / "number.txt").write_text(content)
    inputs = {name: outputs_digest(read_manifest(one.job) or {}) for name, one in stage.inputs.items()}
    write_sealed(stage.job / MANIFEST, {"outputs": checksums(stage.job / "output"), "inputs": inputs})
    stage.marker(".done").touch()


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Planned]:
    """The stages of a finished tree."""
    stages = planned(tmp_path / "results")
    for stage in stages.values():
        finish(stage)
    return stages


def reasons(results: Path) -> dict[str, str | None]:
    return {name: stage.reason for name, stage in planned(results).items()}


def test_a_plan_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stages = planned(tmp_path / "results")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert {name: stage.reason for name, stage in stages.items()} == dict.fromkeys(stages, "new")


def test_each_stage_follows_what_it_stands_on(tmp_path: Path) -> None:
    stages = planned(tmp_path)
    assert list(stages) == ["leaf", "left", "right", "top"]
    assert stages["top"].inputs == {"parts[0]": stages["left"], "parts[1]": stages["right"]}
    assert stages["left"].inputs == {"parts[0]": stages["leaf"]}
    assert stages["leaf"].job == tmp_path / "jobs" / "tests.workflow.toy.number" / stages["leaf"].job.name


def test_folders_are_named_by_configurations_alone(tmp_path: Path) -> None:
    one, other = planned(tmp_path / "a"), planned(tmp_path / "b")
    assert [stage.job.name for stage in one.values()] == [stage.job.name for stage in other.values()]
    assert len({stage.job for stage in one.values()}) == 4


def test_equal_configurations_are_one_stage(tmp_path: Path) -> None:
    assert list(planned(tmp_path, "twice")) == ["leaf"]


def test_a_finished_tree_is_valid(tree: dict[str, Planned], tmp_path: Path) -> None:
    assert reasons(tmp_path / "results") == dict.fromkeys(tree)


def test_a_stage_that_started_and_has_not_ended(tree: dict[str, Planned], tmp_path: Path) -> None:
    tree["left"].marker(".done").unlink()
    (tree["left"].job / MANIFEST).unlink()
    now = planned(tmp_path / "results")
    assert now["left"].reason == "unfinished" and not now["left"].was_finished
    assert now["right"].finished
    assert now["top"].reason == "waits for parts[0] to be made again" and now["top"].waits


def test_what_stands_on_a_damaged_stage_stays_until_that_is_made_again(
    tree: dict[str, Planned], tmp_path: Path
) -> None:
    (tree["leaf"].job / "output" / "number.txt").write_text("2\n")
    now = reasons(tmp_path / "results")
    assert now.pop("leaf") == "number.txt does not have its checksum any more"
    assert now == {"left": None, "right": None, "top": None}
    finish(tree["leaf"], "3\n")
    assert reasons(tmp_path / "results") == {
        "leaf": None,
        "left": "a stage it stands on has other outputs now",
        "right": "a stage it stands on has other outputs now",
        "top": None,
    }
    finish(tree["leaf"])
    assert reasons(tmp_path / "results") == dict.fromkeys(tree)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"outputs": 3}'])
def test_a_manifest_that_cannot_be_read(text: str, tree: dict[str, Planned], tmp_path: Path) -> None:
    (tree["leaf"].job / MANIFEST).write_text(text)
    now = planned(tmp_path / "results")
    assert now["leaf"].reason == "its manifest is damaged"
    assert now["leaf"].was_finished and now["left"].waits and not now["left"].finished
    assert now["top"].finished


def test_a_manifest_is_enough_when_the_end_was_not_noted(tree: dict[str, Planned], tmp_path: Path) -> None:
    tree["leaf"].marker(".done").unlink()
    assert planned(tmp_path / "results")["leaf"].finished
