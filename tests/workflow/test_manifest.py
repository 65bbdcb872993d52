"""Manifests: what makes a stage finished, and every way not to be."""

import json
from pathlib import Path
from typing import Any

import pytest

from simlm.files import checksums, write_json, write_sealed
from simlm.workflow.manifest import MANIFEST, damage, outputs_digest, read_manifest

INPUTS = {"data": "0123"}


def content_of(job: Path) -> dict[str, Any]:
    return {"outputs": checksums(job / "output"), "inputs": INPUTS, "numbers": {"RR@10": 0.5}, "attempts": []}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A finished stage with two outputs."""
    (tmp_path / "output" / "model").mkdir(parents=True)
    (tmp_path / "output" / "model" / "weights").write_bytes(b"\x00\x01\x02")
    (tmp_path / "output" / "test.run").write_text("1 Q0 p1 1 0.5 tag\n")
    write_sealed(tmp_path / MANIFEST, content_of(tmp_path))
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
    said = "it has no manifest" if content is None else "its manifest is damaged"
    assert read_manifest(job) is None and damage(job, INPUTS) == said


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": {"RR@10": 0.6}},
        {"outputs": {}},
        {"outputs": None},
        {"inputs": {"data": "4567"}},
        {"attempts": [{}]},
        {"sha256": "0" * 64},
        {"sha256": None},
        {"more": 1},
    ],
)
def test_a_manifest_protects_itself(change: dict[str, Any], job: Path) -> None:
    content = json.loads((job / MANIFEST).read_text())
    write_json(job / MANIFEST, content | change)
    assert read_manifest(job) is None
    assert damage(job, INPUTS) == "its manifest is damaged"
    for key in change.keys() & content.keys() - {"sha256"}:
        write_json(job / MANIFEST, {name: value for name, value in content.items() if name != key})
        assert damage(job, INPUTS) == "its manifest is damaged"


def test_any_bit_of_a_manifest(job: Path) -> None:
    """Every changed byte is noticed, or leaves what the manifest says as it was: in the name of its own checksum."""
    whole, said = (job / MANIFEST).read_bytes(), read_manifest(job) or {}
    for place in range(len(whole)):
        for bit in (1, 32):
            (job / MANIFEST).write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            assert (read := read_manifest(job)) is None or said.items() <= read.items()


def test_a_manifest_of_an_older_version_counts_while_it_is_complete(job: Path) -> None:
    """It has no checksum of its own."""
    old = content_of(job)
    write_json(job / MANIFEST, old)
    assert damage(job, INPUTS) is None and read_manifest(job) == old
    one = {name: entry for name, entry in old["outputs"].items() if name != "test.run"}
    for outputs in ({}, one):
        write_json(job / MANIFEST, old | {"outputs": outputs})
        assert damage(job, INPUTS) == "its manifest is damaged"
    for key in old:
        write_json(job / MANIFEST, {name: value for name, value in old.items() if name != key})
        assert damage(job, INPUTS) == "its manifest is damaged"
    write_json(job / MANIFEST, old | {"outputs": dict.fromkeys(old["outputs"], {})})
    assert damage(job, INPUTS) == "its manifest or its outputs cannot be read"


def test_the_digest_stands_for_names_and_contents(job: Path) -> None:
    def digest() -> str:
        return outputs_digest({"outputs": checksums(job / "output")})

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
