"""The driver: each stage once, again where it must be, and failures that say what to do."""

import json
import os
import shutil
from pathlib import Path

import pytest

from simlm.workflow.plan import Planned
from simlm.workflow.scheduler import _behind
from tests.workflow.driving import Ran, attempts, damage, drive, drive_alone, made, manifest


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run to its end, which tests copy."""
    return drive(tmp_path_factory.mktemp("toy") / "results", HF_TOKEN="hf_secret")


def copied(finished: Ran, tmp_path: Path) -> Path:
    """The results of a finished run at another place: they are finished there too."""
    source = finished.jobs["leaf"].parents[2]
    shutil.copytree(source, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_stages_run_once_and_a_second_run_runs_nothing(finished: Ran, tmp_path: Path) -> None:
    assert finished.status == 0 and finished.errors == ""
    assert list(finished.jobs) == ["leaf", "left", "right", "top"]
    assert (finished.jobs["top"] / "output" / "number.txt").read_text() == "1112\n"
    assert set(attempts(finished).values()) == {1}
    assert not any((job / "work").exists() for job in finished.jobs.values())

    again = drive(copied(finished, tmp_path))
    assert again.status == 0
    assert again.made == again.said("done") == again.said("said") == []
    assert made(again) == made(finished)
    assert attempts(again) == attempts(finished)


def test_the_longest_chain_of_stages_behind_each_is_counted_and_told(finished: Ran) -> None:
    chain = {name: Planned(name, Path(name)) for name in ("first", "short", "long", "longer", "last")}
    below = {"short": ["first"], "long": ["first"], "longer": ["long"], "last": ["short", "longer"]}
    for name, inputs in below.items():
        chain[name].inputs = {one: chain[one] for one in inputs}
    assert _behind(list(chain.values())) == {"first": 3, "short": 1, "long": 2, "longer": 1, "last": 0}
    told = {name: json.loads((job / "choices.json").read_text())["behind"] for name, job in finished.jobs.items()}
    assert told == {"leaf": 2, "left": 1, "right": 1, "top": 0}


def test_stages_inherit_the_environment_and_no_file_holds_it(finished: Ran) -> None:
    assert manifest(finished.jobs["leaf"])["numbers"]["home"] == os.environ["HOME"]
    for path in finished.jobs["leaf"].parents[2].rglob("*"):
        assert not path.is_file() or b"hf_secret" not in path.read_bytes(), path


def test_a_damaged_output_is_made_again_and_what_stands_on_it_stays(finished: Ran, tmp_path: Path) -> None:
    results = copied(finished, tmp_path)
    damage(results / finished.jobs["left"].relative_to(finished.jobs["left"].parents[2]))
    again = drive(results)
    (said,) = again.said("said")
    assert said.startswith("left ") and said.endswith("is made again: number.txt does not have its checksum any more")
    assert again.made == ["left"]
    assert made(again) == made(finished)
    assert (again.jobs["top"] / "manifest.json").read_text() == (finished.jobs["top"] / "manifest.json").read_text()


def test_what_stands_on_other_outputs_is_made_again(tmp_path: Path) -> None:
    """`top` is not: the sums that it reads come out the same."""
    first = drive(tmp_path, "restless")
    assert first.status == 0
    damage(first.jobs["leaf"])
    again = drive(tmp_path, "restless")
    assert again.status == 0, again.lines
    assert [line.split()[0] for line in again.said("said")] == ["leaf", "left", "right"]
    assert all("other outputs" in line for line in again.said("said")[1:])
    assert again.made[0] == "leaf" and sorted(again.made[1:]) == ["left", "right"]
    assert made(again)["top"] == made(first)["top"]


def test_nothing_is_run_on_a_finished_stage_that_may_have_to_be_made_again(tmp_path: Path) -> None:
    """`left` can be judged only when `leaf` is there: `top`, which is gone too, has to wait for that."""
    first = drive(tmp_path, "restless")
    for name in ("leaf", "top"):
        shutil.rmtree(first.jobs[name])
    again = drive(tmp_path, "restless")
    assert again.status == 0, again.lines
    assert again.made[0] == "leaf" and again.made[-1] == "top" and set(again.made) == set(first.jobs)
    assert len(manifest(again.jobs["top"])["attempts"]) == 1
    assert all("other outputs" in line for line in again.said("said"))


def test_another_version_is_another_stage_and_so_is_what_stands_on_it(finished: Ran, tmp_path: Path) -> None:
    results = copied(finished, tmp_path)
    changed = drive_alone(results, SIMLM_TOY_VERSION="2")
    assert sorted(changed.made) == ["leaf", "left", "right", "top"]
    assert not {job.name for job in changed.jobs.values()} & {job.name for job in finished.jobs.values()}
    assert manifest(changed.jobs["leaf"])["version"] == 2
    assert drive(results).made == []


def test_a_users_mistake_in_a_stage_is_one_line_and_retried_until_mended(tmp_path: Path) -> None:
    """Experimaestro alone would give up after three times, and repeat the old error for ever."""
    for _ in range(4):
        wrong = drive(tmp_path, "mistaken", SIMLM_TOY_WRONG="1")
        assert wrong.status == 2 and wrong.errors == ""
        assert wrong.said("mistake") == ["numbers.txt, line 3: 'x' is no number; write digits"]
        assert wrong.said("failed") == ["leaf"] and wrong.said("done") == []
    mended = drive(tmp_path, "mistaken")
    assert mended.status == 0
    assert attempts(mended) == {"leaf": 5, "left": 1, "right": 1, "top": 1}
    assert "failed" not in " ".join(mended.lines)


def test_any_other_error_names_its_log(tmp_path: Path) -> None:
    for _ in range(2):  # the second failure's log, not the first one's
        wrong = drive(tmp_path, "broken", SIMLM_TOY_WRONG="1")
        assert wrong.status == 1 and wrong.errors == ""
        (line,) = wrong.said("failure")
        assert line.startswith("leaf failed: ValueError: the seventh wheel came off (see ")
        log = Path(line.removesuffix(")").rsplit(" ", 1)[1])
        assert "Traceback" in log.read_text()
    assert drive(tmp_path, "broken").status == 0


def test_a_number_that_another_process_got_is_not_waited_for(tmp_path: Path) -> None:
    """As after a restart: the process that worked on the stage is gone, and its number is somebody else's."""
    assert drive(tmp_path, "broken", SIMLM_TOY_WRONG="1").status == 1
    (job,) = tmp_path.glob("jobs/*.broken/*")
    (job / "broken.failed").unlink()
    (job / "broken.pid").write_text(json.dumps({"type": "local", "pid": os.getpid()}))
    status = job / ".experimaestro" / "status.json"
    status.write_text(json.dumps(json.loads(status.read_text()) | {"state": "running"}))
    assert drive(tmp_path, "broken").status == 0


def test_a_stage_killed_after_its_manifest_is_not_computed_twice(finished: Ran, tmp_path: Path) -> None:
    results = copied(finished, tmp_path)
    left, top = (results / finished.jobs[name].relative_to(finished.jobs[name].parents[2]) for name in ("left", "top"))
    (left / "sum.done").unlink()
    (left / "work").mkdir()
    damage(top)
    again = drive(results)
    assert again.made == ["top"]
    assert not (left / "work").exists()
    assert made(again) == made(finished)


def test_a_run_that_keeps_going_leaves_out_what_stands_on_a_failed_stage_and_nothing_else(tmp_path: Path) -> None:
    """Also when stages that were finished must be made again, which takes a second round: the failure is not."""
    wrong = drive(tmp_path, "two trees", "keep-going", SIMLM_TOY_WRONG="1")
    assert wrong.status == 0 and wrong.errors == ""
    assert set(wrong.jobs) == {"leaf", "right", "top of right"}
    assert wrong.said("failed") == ["wrong"] and wrong.said("left") == ["out above wrong", "out top of wrong"]
    lacking = wrong.said("lacks")
    assert [line.split(": ")[0] for line in lacking] == ["wrong", "above wrong", "top of wrong"]
    assert all("wrong failed: ValueError: the seventh wheel came off (see " in line for line in lacking)

    shutil.rmtree(wrong.jobs["leaf"])  # what stands on it is judged when it is there again
    again = drive(tmp_path, "two trees", "keep-going", SIMLM_TOY_WRONG="1")
    assert again.made == ["leaf"] and again.said("failed") == ["wrong"]
    assert set(again.jobs) == set(wrong.jobs)

    mended = drive(tmp_path, "two trees", "keep-going")
    assert mended.said("lacks") == [] and mended.said("failed") == []
    assert mended.made == ["wrong", "above wrong", "top of wrong"]


def test_what_is_made_again_in_a_later_round_goes_on_beside_a_failed_stage(tmp_path: Path) -> None:
    """`right` can be judged only when `leaf` is there again; `wrong` has failed by then, and all on it is left out.

    What stands on `right` and on `above wrong` stays: these write the same as before.
    """
    first = drive(tmp_path, "two restless trees")
    for name in ("leaf", "wrong"):
        shutil.rmtree(first.jobs[name])
    again = drive(tmp_path, "two restless trees", "keep-going", SIMLM_TOY_WRONG="1")
    assert again.status == 0, again.errors
    assert again.made == ["leaf", "right"]
    assert [line.split(": ")[0] for line in again.said("lacks")] == ["wrong", "above wrong", "top of wrong"]
    mended = drive(tmp_path, "two restless trees", "keep-going")
    assert mended.said("lacks") == [] and mended.made == ["wrong", "above wrong"]
