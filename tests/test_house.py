"""The repository itself: README, .ci/run, tox.ini and constraints.txt agree, and nothing points outside."""

import ast
import configparser
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SETUP = "python3.11 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e "
HOME_LIKE = r"(?<![\w.~})-])/(?:home|root|Users|tmp|work|mnt|opt)/\w"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def tracked_texts() -> Iterator[tuple[Path, str]]:
    """Every text file that is or would be committed, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listing.split("\0")):
        try:
            yield Path(name), (ROOT / name).read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            continue  # removed but not yet committed, or a picture


def readme_commands() -> list[str]:
    """The command lines in README that set up the project and then do something."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.startswith(SETUP)]


def test_readme_gives_two_commands_and_ci_runs_the_second() -> None:
    run, test = readme_commands()
    assert run.endswith("&& .venv/bin/python -m repro.table2")
    assert test.endswith("&& .venv/bin/python -m pytest")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r'^TEST_COMMAND="(.*)"$', script, re.MULTILINE) == [test]
    last = """
eval "$TEST_COMMAND"
python -m pytest -m "slow or hypothesis"
if [[ "${1:-}" == --slurm ]]; then python -m pytest -m slurm --slurm -rs; fi
"""
    assert script.endswith(last)


def test_ci_runs_the_checks_of_tox() -> None:
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    for name in ("lint", "types", "imports"):
        for command in tox[f"testenv:{name}"]["commands"].strip().splitlines():
            assert command in script


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins["torch"] == "2.13.0"
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    for requirement in map(Requirement, PROJECT["dependencies"] + extras):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_no_file_points_outside_the_repository() -> None:
    for name, text in tracked_texts():
        assert str(ROOT) not in text, name
        if name.parts[0] != "tests":  # made-up paths are what some tests are about
            assert (found := re.search(HOME_LIKE, text)) is None, (name, found)


def test_every_document_named_exists() -> None:
    """Such as README.md, named in capitals: a document nobody can open explains nothing."""
    for name, text in tracked_texts():
        for document in re.findall(r"\b[A-Z][A-Z_]+\.md\b", text):
            assert (ROOT / document).exists(), (name, document)


@pytest.mark.parametrize("room", ["simlm", "baselines", "ablations", "repro", "reports", "benchmarks"])
def test_every_package_says_what_it_holds(room: str) -> None:
    for path in (ROOT / room).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
