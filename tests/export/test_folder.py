"""An export's folder: whole or not there, and never in the place of anything else."""

import json
from pathlib import Path

import pytest

from simlm.errors import UserError
from simlm.export.folder import MARKER, export_folder


def write(folder: Path, content: str = "one") -> None:
    with export_folder(folder, {"row": "simlm"}) as partial:
        (partial / "below").mkdir()
        (partial / "below" / "a.txt").write_text(content)


def test_it_is_whole_and_an_earlier_one_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "export"
    write(folder)
    assert json.loads((folder / MARKER).read_text()) == {
        "format": "simlm export 1",
        "origin": {"row": "simlm"},
        "files": {"below/a.txt": 3},
    }
    before = (folder / MARKER).read_bytes()
    write(folder)
    assert (folder / MARKER).read_bytes() == before
    write(folder, "other")
    assert (folder / "below" / "a.txt").read_text() == "other"
    assert [path.name for path in folder.parent.iterdir()] == ["export"]


@pytest.mark.parametrize("name", ["notes.txt", "below/a.txt"])
def test_an_export_that_somebody_changed_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path / "export")
    (tmp_path / "export" / name).write_text("mine, and longer")
    with pytest.raises(UserError, match=f"{name} is not as an earlier export left it: move it away"):
        write(tmp_path / "export")
    assert (tmp_path / "export" / name).read_text() == "mine, and longer"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No space left on device; free some space"):  # noqa: SIM117
        with export_folder(tmp_path / "export", {}):
            raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
