"""Manifests: what makes a stage valid, and every way not to be."""

import json
from pathlib import Path
from typing import Any

import pytest

from simlm.files import write_json
from simlm.workflow.manifest import MANIFEST, damage, outputs_digest, outputs_of, read_manifest

INPUTS = {"data": "0123"}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A finished stage with two outputs."""
    (tmp_path / "output" / "model").mkdir(parents=True)
    (tmp_path / "output" / "model" / "weights").write_bytes(b"\x00\x01\x02")
    (tmp_path / "output" / "test.run").write_text("1 Q0 p1 1 0.5 tag\n")
    write_json(tmp_path / MANIFEST, {"outputs": outputs_of(tmp_path / "output"), "inputs": INPUTS})
    return tmp_path


def test_a_whole_stage_verifies(job: Path) -> None:
    assert damage(job, INPUTS) is None
    manifest = read_manifest(job)
    assert manifest is not None and sorted(manifest["outputs"]) == ["model/weights", "test.run"]
    assert manifest["outputs"]["model/weights"]["size"] == 3


@pytest.mark.parametrize("folder", [False, True])
def test_a_missing_output_or_a_folder_where_it_was(folder: bool, job: Path) -> None:
    (job / "output" / "test.run").unlink()
    if folder:
        (job / "output" / "test.run").mkdir()
    assert damage(job, INPUTS) == "test.run is missing"


@pytest.mark.parametrize("content", [b"\x00\x01\x03", b"\x00\x01", b"", b"\x00\x01\x02\x03"])
def test_an_output_that_changed(content: bytes, job: Path) -> None:
    """A byte changed, cut short, emptied, longer."""
    (job / "output" / "model" / "weights").write_bytes(content)
    assert damage(job, INPUTS) == "model/weights does not have its checksum any more"


@pytest.mark.parametrize("inputs", [{"data": "4567"}, {}, {"data": "0123", "start": "89"}])
def test_inputs_that_changed(inputs: dict[str, str], job: Path) -> None:
    assert damage(job, inputs) == "a stage it stands on has other outputs now"


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"3", b"null", b"\xff\xfe{"])
def test_no_manifest_or_what_is_no_json_object(content: bytes | None, job: Path) -> None:
    (job / MANIFEST).unlink()
    if content is not None:
        (job / MANIFEST).write_bytes(content)
    assert read_manifest(job) is None and damage(job, INPUTS) == "it has no manifest"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"outputs": {}},
        {"outputs": [], "inputs": {}},
        {"outputs": {"test.run": {}}, "inputs": {}},
        {"outputs": {"test.run": None}, "inputs": {}},
        {"outputs": {}, "inputs": None},
    ],
)
def test_a_manifest_that_says_something_else(content: Any, job: Path) -> None:
    (job / MANIFEST).write_text(json.dumps(content))
    assert damage(job, INPUTS) == "its manifest cannot be read"


def test_the_digest_stands_for_names_and_contents(job: Path) -> None:
    def digest() -> str:
        return outputs_digest({"outputs": outputs_of(job / "output")})

    digests = {digest()}
    (job / "output" / "test.run").rename(job / "output" / "valid.run")
    digests.add(digest())
    (job / "output" / "valid.run").write_text("1 Q0 p2 1 0.5 tag\n")
    digests.add(digest())
    assert len(digests) == 3


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Circular"):
        circle: list[Any] = []
        circle.append(circle)
        write_json(path, circle)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
