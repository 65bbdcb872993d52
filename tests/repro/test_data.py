"""`python -m repro.data`: collections listed, prepared and verified."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.data import ListOptions, PrepareOptions, VerifyOptions, list_collections, main, prepare, verify
from simlm.data.opening import open_collection
from simlm.errors import UserError
from simlm.files import checksums, write_sealed
from simlm.workflow.manifest import read_manifest
from tests.data.beir import smoke_as_beir
from tests.data.irds_home import dpr
from tests.repro.commands import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smoke collection in BEIR's layout, in a folder of the current one, as a reader would name it."""
    monkeypatch.chdir(tmp_path)
    return smoke_as_beir(tmp_path / "notes")


def test_prepared_listed_and_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="notes as it is now is not prepared in results; python -m repro"):
        verify(VerifyOptions("notes", "smoke"))
    list_collections(ListOptions())
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is prepared in results"
    prepare(PrepareOptions("notes", "smoke", dry_run=True))
    assert "1 of 1 stages to do" in capsys.readouterr().out and not (folder.parent / "results").exists()

    prepare(PrepareOptions("notes", "smoke"))
    first = capsys.readouterr()
    fingerprint = open_collection("notes").fingerprint()
    assert "notes: 600 passages; train 64 queries, valid 32 queries, test 32 queries" in first.out
    assert f"fingerprint: {fingerprint}" in first.out
    prepare(PrepareOptions("notes", "smoke"))
    again = capsys.readouterr()
    assert again.out == first.out and "running" in first.err and "running" not in again.err
    verify(VerifyOptions("notes", "smoke"))
    assert capsys.readouterr().out == first.out
    list_collections(ListOptions())
    *_, last = capsys.readouterr().out.splitlines()
    assert last.split()[:2] == ["notes", "600"] and fingerprint[:16] in last

    (store,) = Path("results").glob("jobs/*/*/output/store/passages/tokens.bin")
    store.write_bytes(store.read_bytes()[:-2] + b"xx")
    with pytest.raises(UserError, match="tokens.bin does not have its checksum any more; .* makes it again"):
        verify(VerifyOptions("notes", "smoke"))
    prepare(PrepareOptions("notes", "smoke"))
    verify(VerifyOptions("notes", "smoke"))


def test_a_collection_that_reads_differently_is_noticed(folder: Path) -> None:
    prepare(PrepareOptions("notes", "smoke"))
    (path,) = Path("results").glob("jobs/*/*/output/store/collection.json")
    manifest = path.parents[2] / "manifest.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps(before | {"fingerprint": "0" * 64}))
    write_sealed(manifest, (read_manifest(manifest.parent) or {}) | {"outputs": checksums(manifest.parent / "output")})
    with pytest.raises(UserError, match="notes reads differently now .* for 0000000000000000.: delete "):
        verify(VerifyOptions("notes", "smoke"))


def test_the_scales_own_collection_is_the_tables_stage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = json.loads((ROOT / "reports" / "mini" / "table2.json").read_text(encoding="utf-8"))["stages"]
    (own,) = [one["identifier"] for one in published if one["name"] == "collection"]
    prepare(PrepareOptions("insuranceqa", dry_run=True))
    assert own[:12] in capsys.readouterr().out
    with pytest.raises(UserError, match="insuranceqa is not the collection of the scale smoke: add --scale mini"):
        prepare(PrepareOptions("insuranceqa", "smoke"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "error: Expected one of {list, prepare, verify}; --help lists"),
        (("list", "--results", ""), "error: --results: an empty text is given"),
        (("prepare", "nowhere"), "error: --collection nowhere: "),
        (("verify", "insuranceqa", "--scale", "huge"), "error: unknown scale 'huge'"),
        (("verify", "insuranceqa"), "error: insuranceqa as it is now is not prepared"),
        (("verify", "msmarco", "--scale", "paper"), "error: msmarco as it is now is not prepared"),
        (("prepare", "msmarco"), "error: msmarco is not the collection of the scale mini: add --scale paper"),
        (("prepare", "nq", "--scale", "paper"), "error: nq: its test questions are in a file"),
        (("prepare", "nq:none.csv", "--scale", "paper"), "error: --collection nq:none.csv: "),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...], said: str, leaves: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    results = ["--results", str(tmp_path / "results")] if arguments else []
    status, line = leaves(main, *arguments, *results)
    assert status == 2 and line.startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_the_papers_collections_are_listed_with_what_is_here_of_them(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IR_DATASETS_HOME", str(folder.parent / "home"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parent / "hub"))
    list_collections(ListOptions())
    assert capsys.readouterr().out.count("not fetched yet") == 3
    dpr(folder.parent / "home")
    list_collections(ListOptions())
    said = capsys.readouterr().out
    assert said.count("not fetched yet") == 2 and "    on disk: 3 files, " in said


def test_the_paper_scales_collection_is_prepared_by_the_stage_of_its_tables(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(PrepareOptions("msmarco", "paper", dry_run=True))
    assert "1 of 1 stages to do" in capsys.readouterr().out and not Path("results").exists()
