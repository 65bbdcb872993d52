"""One run of the whole pipeline at smoke scale, which tests of this folder copy."""

import pytest

from tests.reports.conftest import made, report, values  # noqa: F401
from tests.repro.commands import Results, table2


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of `python -m repro.table2 --scale smoke` from an empty folder."""
    folder = tmp_path_factory.mktemp("smoke") / "results"
    ran = table2("--results", str(folder))
    assert ran.returncode == 0, ran.stderr
    return Results(folder)
