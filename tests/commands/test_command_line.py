"""Options as dataclasses."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from simlm.commands.command_line import parse


@dataclass(frozen=True)
class Options:
    """Options."""

    rows: tuple[str, ...] = ()
    """Rows."""
    models: Path | None = None
    """A folder."""
    results: Path = Path("results")
    """A folder."""
    join: tuple[Path, ...] = ()
    """Folders."""


def test_paths_are_whole_given_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "results").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["table"])
    assert parse(Options, "") == Options(results=tmp_path / "real")
    monkeypatch.setattr(sys, "argv", ["table", "--join", "results/a", "real/../b", "--models", "results"])
    join = (tmp_path / "real" / "a", tmp_path / "b")
    assert parse(Options, "") == Options((), tmp_path / "real", tmp_path / "real", join)
