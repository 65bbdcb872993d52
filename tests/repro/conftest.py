"""Tables beside Table 2 at smoke scale, which tests of this folder look at, and dry runs."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from repro.command import Options, check
from repro.tables import run_report
from tests.reports.conftest import made, report, values  # noqa: F401
from tests.repro.commands import PATIENCE, ROOT, Results


@pytest.fixture(scope="session")
def tables(smoke: Results, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A copy of them with the reports of `tests.repro.small_tables`."""
    copy = smoke.copy(tmp_path_factory.mktemp("tables") / "results")
    command = [sys.executable, "-m", "tests.repro.small_tables", str(copy.folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    return Results(copy.folder, ran.stdout)


@pytest.fixture
def dry_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Returns what a dry run of a table prints."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(name: str, kind: type[Options] = Options, **options: Any) -> str:
        given = kind(**{"scale": "smoke"} | options, dry_run=True)
        check(given)
        run_report(name, given)
        return capsys.readouterr().out

    return run
