"""Files and folders that are whole or not there, and locks."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simlm.errors import UserError
from simlm.files import (
    atomic_file,
    atomic_folder,
    digest,
    intact,
    lock,
    read_json,
    read_sealed,
    sealed_file,
    write_atomically,
    write_json,
    write_sealed,
    write_together,
)
from tests.damaging import empty, flip, remove, truncate

MARKER = "made.json"
HOLDER = """
import sys, pathlib
from simlm.files import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.md"
    write_atomically(path, b"old")
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"abc")
        assert path.read_bytes() == b"old" and temporary.suffix == ".md"
    assert digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert names(path.parent) == ["page.md"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and names(tmp_path) == ["page.md"]


def test_files_that_belong_together_are_all_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, data = tmp_path / "page.md", tmp_path / "page.json"
    write_together({page: b"old", data: b"old"})

    def flush(temporary: Path) -> None:
        if temporary.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("simlm.files._flush", flush)
    with pytest.raises(OSError) as full:
        write_together({page: b"new", data: b"new"})
    assert full.value.filename == str(data) and names(tmp_path) == ["page.json", "page.md"]
    assert page.read_bytes() == data.read_bytes() == b"old"


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_json(path, {"b": Path("x"), "a": 1})
    assert path.read_text() == '{\n "a": 1,\n "b": "x"\n}\n'
    assert read_json(path) == {"a": 1, "b": "x"}
    for text in ("", "[1]", "{", "[" * 100_000):
        path.write_text(text)
        assert read_json(path) is None
    assert read_json(tmp_path / "none.json") is None


def test_sealed_json_is_known_from_what_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_sealed(path, {"b": [1.5, None], "a": {"n": Path("x")}})
    assert read_sealed(path) == {"b": [1.5, None], "a": {"n": "x"}}
    content = path.read_text()
    for changed in ("", "{}", content.replace("1.5", "1.25"), content.replace('"b"', '"c"'), content[:-2]):
        path.write_text(changed)
        assert read_sealed(path) is None
    assert read_sealed(tmp_path / "none.json") is None


@pytest.mark.parametrize("damage", [remove, empty, truncate, flip])
def test_a_sealed_file_that_is_damaged_is_removed_with_a_line(
    damage: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "work" / "block.npy"
    for content in (b"old", b"content"):
        with sealed_file(path) as temporary:
            temporary.write_bytes(content)
    assert intact(path) and names(path.parent) == ["block.npy"]
    damage(path)
    assert not intact(path) and not path.exists() and not intact(path)
    said = capsys.readouterr().err.splitlines()
    assert said == ([] if damage is remove else [f"{path} is damaged or unfinished: it is made again"])


def test_content_is_on_the_disk_before_its_name_and_the_name_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace, fsync = Path.replace, os.fsync

    def noted_fsync(number: int) -> None:
        done.append(f"flush {Path(os.readlink(f'/proc/self/fd/{number}')).name}")
        fsync(number)

    def noted_replace(path: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    with sealed_file(tmp_path / "work" / "a") as temporary:
        temporary.touch()
    partial = temporary.name
    seal = f".a.{os.getpid()}.partial"
    expected = [f"flush {partial}", "rename to a", "flush work", f"flush {seal}", "rename to a", "flush work.seals"]
    assert done == expected
    done.clear()
    with atomic_folder(tmp_path / "store", MARKER) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").touch()
    assert sorted(done[:-2]) == ["flush file", "flush store.partial", "flush sub"]
    assert done[-2:] == ["rename to store", f"flush {tmp_path.name}"]


def test_a_folder_appears_as_a_whole_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()  # an empty one is nobody's
    (tmp_path / "store.partial").mkdir()
    (tmp_path / "store.partial" / "of a killed build").touch()
    for content in ("old", "new"):
        with atomic_folder(folder, MARKER) as partial:
            (partial / content).touch()
            (partial / MARKER).write_text("{}")
            assert not (folder / content).exists()
    assert names(folder) == [MARKER, "new"] and names(tmp_path) == ["store"]


def test_a_failed_folder_leaves_the_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / MARKER).touch()
    with pytest.raises(RuntimeError), atomic_folder(folder, MARKER):
        raise RuntimeError
    assert names(folder) == [MARKER] and names(tmp_path) == ["store"]


def test_a_folder_of_something_else_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds no made.json"), atomic_folder(tmp_path, MARKER):
        pass
    assert names(tmp_path) == ["thesis.tex"]


def test_one_process_waits_for_another(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "held\n"
        waited: list[str] = []

        def end() -> None:
            waited.append("once")
            assert other.stdin is not None
            other.stdin.close()

        with lock(path, waiting=end):
            assert waited == ["once"] and other.wait() == 0
    with lock(path, waiting=lambda: pytest.fail("nobody has it")):
        pass


def test_a_folder_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be locked"), lock(tmp_path):
        pass
