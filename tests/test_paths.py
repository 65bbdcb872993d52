"""Paths as users give them."""

import os
from pathlib import Path

import pytest

from simlm.errors import UserError
from simlm.files import short_name
from simlm.paths import CACHES, check_words, instead, make_caches_absolute, name_of, shown, whole


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which is the working folder, and a link to it beside it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "nothing").symlink_to(tmp_path / "gone")
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("given", ["new", "../folder/new", "../link/new", "../link/../folder/./new"])
def test_every_way_to_a_folder_is_one_path(given: str, folder: Path) -> None:
    found = whole("--results", Path(given))
    assert found == folder / "new" and shown(found) == "new" and not found.exists()
    assert shown(folder.parent / "link") == str(folder.parent / "link")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("loop", "Too many levels of symbolic links"),
        ("loop/below", "Too many levels of symbolic links"),
        ("nothing/below", "is a link to nothing"),
        ("new/" + "x" * 300, "File name too long"),
        ("new/" + "x" * 300 + "/below", "File name too long"),
        ("/".join(["x" * 200] * 19), "of more than 3,700 bytes is too long"),
        (os.fsdecode(b"caf\xe9"), "is not UTF-8"),
    ],
)
def test_paths_that_cannot_be(given: str, said: str) -> None:
    with pytest.raises(UserError, match=f"^--results.*{said}"):
        whole("--results", Path(given))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table2", "--results", ""], "--results: an empty text is given"),
        (["--results=", "x"], "--results: an empty text is given"),
        (["--join", "a", ""], "--join: an empty text is given"),
        (["--collection", os.fsdecode(b"caf\xe9")], r"--collection: 'caf\\udce9' is not UTF-8"),
    ],
)
def test_words_that_mean_nothing(words: list[str], said: str) -> None:
    check_words(["table2", "--results=a=", "--rows", "é"])
    with pytest.raises(UserError, match=f"^{said}"):
        check_words(words)


def test_what_lies_where_a_file_has_to_be(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "file").touch()
    found = {name: instead(folder / name) for name in ("pipe", "file", ".", "loop", "nothing", "no", "file/below")}
    assert found == {
        "pipe": "is a FIFO",
        "file": "is a file",
        ".": "is a folder",
        "loop": "cannot be read (Too many levels of symbolic links)",
        "nothing": "is a link to nothing",
        "no": "is missing",
        "file/below": "cannot be read (Not a directory)",
    }


def test_names_become_lines_and_fit_a_file_system(folder: Path) -> None:
    assert name_of(Path("a  b\nc\x1b[31m資")) == "a b c [31m資"
    assert short_name("資" * 70) == "資" * 70
    names = {short_name("資" * count + end) for count in (74, 99) for end in "ab"}
    assert len(names) == 4 and all(name.startswith("資" * 70 + "-") and len(name.encode()) <= 220 for name in names)


def test_folders_of_caches_do_not_depend_on_where_a_stage_runs(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in CACHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IR_DATASETS_HOME", "../kept")
    make_caches_absolute()
    assert os.environ["IR_DATASETS_HOME"] == str(folder.parent / "kept") and "HF_HOME" not in os.environ
