"""Two runs of the pipeline at smoke scale, which tests of this folder look at and copy."""

import subprocess
import sys

import pytest

from tests.reports.conftest import made, report, values  # noqa: F401
from tests.repro.commands import PATIENCE, ROOT, Results, table2


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of `python -m repro.table2 --scale smoke` from an empty folder."""
    folder = tmp_path_factory.mktemp("smoke") / "results"
    ran = table2("--results", str(folder))
    assert ran.returncode == 0, ran.stderr
    return Results(folder)


@pytest.fixture(scope="session")
def tables(smoke: Results, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A copy of them with the reports of `tests.repro.small_tables`."""
    copy = smoke.copy(tmp_path_factory.mktemp("tables") / "results")
    command = [sys.executable, "-m", "tests.repro.small_tables", str(copy.folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    return Results(copy.folder, ran.stdout)
