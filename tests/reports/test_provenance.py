"""Provenance: ir_metadata's parts, the source's state, and no absolute path anywhere."""

import json
import sys
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import hardware
from reports.provenance import provenance, scrub


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("/home/someone/results/run.trec", "run.trec"),
        ("--results=/home/someone/results", "--results=results"),
        ("python /opt/x/y.py --out /tmp/z/", "python y.py --out z"),
        ("PATH=/usr/bin:/opt/bin", "PATH=bin:bin"),
        ("-I/usr/include", "-Iinclude"),
        ("file:///home/someone/x", "x"),
        (r"C:\Users\someone\x.txt", "x.txt"),
        (r"\\server\share\x", "x"),
        ("(see /var/log/x)", "(see x)"),
        # what only looks like one
        ("https://doi.org/10.1145/3397271", "https://doi.org/10.1145/3397271"),
        ("http://host:80/a/b", "http://host:80/a/b"),
        ("insuranceqa/test and/or 5 tokens/s", "insuranceqa/test and/or 5 tokens/s"),
        ("../shared/x ./y runs/bm25.trec", "../shared/x ./y runs/bm25.trec"),
        ("a / b", "a / b"),
    ],
)
def test_scrub(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


def test_scrub_reaches_into_containers() -> None:
    tree = {"/a/key": [Path("/b/c"), ("/d/e", 1, None)], "n": {"p": PureWindowsPath("C:/x/y"), "f": 0.5}}
    assert scrub(tree) == {"key": ["c", ["e", 1, None]], "n": {"p": "y", "f": 0.5}}


def test_scrub_takes_known_folders_with_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/Jane Doe")
    assert scrub("in /home/Jane Doe/results/x and on") == "in x and on"


@settings(max_examples=40)
@given(
    st.lists(st.from_regex(r"[a-z][a-z0-9_.-]*", fullmatch=True), min_size=1, max_size=5),
    st.sampled_from("= '\"(:,"),
)
def test_no_absolute_path_survives(parts: list[str], before: str) -> None:
    path = "/" + "/".join(parts)
    assert path not in scrub(f"word{before}{path} word")


def make() -> dict[str, Any]:
    return provenance(
        tag="table2-smoke",
        command=[sys.executable, "-m", "repro.table2", "--results", "/some/where/results"],
        seeds={"pre-training": 45678},
        data={"test collection": {"name": "toy", "source": "/some/where/toy.gz", "fingerprint": "ab" * 32}},
        method={"retrieval": [{"name": "bm25"}]},
        measures=["RR@10"],
        baselines=["bm25"],
        resources={"wall time": "12 s"},
    )


def test_provenance_has_the_parts_of_ir_metadata_and_no_absolute_path() -> None:
    found = make()
    parts = {"platform", "research goal", "implementation", "method", "data", "actor", "tag", "resources"}
    assert parts <= set(found)
    assert found["implementation"]["executable"]["cmd"] == "python -m repro.table2 --results results"
    assert found["platform"]["hardware"]["cpu"]["number of cores"] >= 1
    libraries = found["platform"]["software"]["libraries"]["python"]
    assert any(library.startswith("torch==") for library in libraries)
    assert len(libraries) < 40  # direct dependencies, not the environment
    text = json.dumps(found)
    for folder in ("/some", str(Path.home()), str(Path.cwd()), sys.prefix):
        assert folder not in text
    assert scrub(found) == found


def test_platform_survives_without_its_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tirex_tracker", "psutil"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it raises ImportError
    monkeypatch.setattr(hardware, "DISTRIBUTION", "no-such-distribution")
    found = hardware.platform_metadata()
    assert found["software"]["libraries"] == {"python": []}
    assert found["hardware"]["cpu"]["architecture"]
    assert found["operating system"]["distribution"]
