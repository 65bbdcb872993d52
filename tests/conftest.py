"""Settings of every test: no network, two threads, no window, no collection written under the user's home.

GPU-marked tests are skipped where there is no GPU, and those of a Slurm cluster without --slurm.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from tests.slurm_cluster import lack

# Set before the libraries that read them are imported, and inherited by the processes that tests start.
_IR_DATASETS_HOME = tempfile.TemporaryDirectory(prefix="ir_datasets_")
os.environ.update(
    HF_HUB_OFFLINE="1",
    IR_DATASETS_HOME=_IR_DATASETS_HOME.name,
    MPLBACKEND="Agg",
    OMP_NUM_THREADS="2",
    OMP_WAIT_POLICY="PASSIVE",
    TOKENIZERS_PARALLELISM="false",
)

# Machines differ in speed, and a failure must come back on the next run. Properties draw few cases by default, and many
# beside the slow tests.
settings.register_profile("few", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("many", deadline=None, derandomize=True, max_examples=100)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("many" if config.option.markexpr == "slow or hypothesis" else "few")


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "set up a Slurm cluster on this machine for the tests that need one: changes /etc/hosts meanwhile"
    parser.addoption("--slurm", action="store_true", help=words)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if reason := lack() if config.getoption("--slurm") else "needs --slurm":
        for item in items:
            if item.get_closest_marker("slurm"):
                item.add_marker(pytest.mark.skip(reason=reason))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The results of `python -m repro.table2 --scale smoke` from an empty folder, which tests look at and copy."""
    from tests.repro.commands import Results, table2  # after the settings above

    folder = tmp_path_factory.mktemp("smoke") / "results"
    ran = table2("--results", str(folder))
    assert ran.returncode == 0, ran.stderr
    return Results(folder)


@pytest.fixture
def minilm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a tiny model stand for all-MiniLM-L6-v2, which need not be installed."""
    from tests.minilm import install  # imports torch

    install(tmp_path_factory.mktemp("site"), monkeypatch)


@pytest.fixture
def leaves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Returns the status with which a command ends that gets these words, and the one line that it says."""

    def run(command: Callable[[], None], *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["command", *words])
        with pytest.raises(SystemExit) as left:
            command()
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert printed.out == "" and isinstance(left.value.code, int)
        return left.value.code, line

    return run
