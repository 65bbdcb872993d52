"""The declarations of published systems: complete, and in the paper's own names."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from baselines.system import System
from baselines.systems import SYSTEMS, system, systems_in
from repro.published import published


def test_keys_and_labels_are_one_systems() -> None:
    assert len({one.key for one in SYSTEMS}) == len({one.label for one in SYSTEMS}) == len(SYSTEMS)
    assert system("simlm").label == "SimLM"


@pytest.mark.parametrize("table", ["table2", "table3", "table4"])
def test_every_system_of_a_table_has_a_record(table: str) -> None:
    assert {one.named[table] for one in systems_in(table)} == set(published(table)["model"])


@pytest.mark.parametrize("one", SYSTEMS, ids=lambda one: one.key)
def test_there_is_a_checkpoint_or_a_reason_why_not(one: System) -> None:
    assert bool(one.checkpoint) != bool(one.lacking)
    assert one.source and (one.note or one.lacking)
    if one.kind != "sparse" and one.checkpoint:
        assert all(repository.count("/") == 1 for repository in one.revisions)


def test_prebuilt_indexes_are_pyserinis() -> None:
    spec = find_spec("pyserini")
    assert spec is not None and spec.origin is not None
    known = (Path(spec.origin).parent / "prebuilt_index_info.py").read_text(encoding="utf-8")
    names = [one.checkpoint for one in SYSTEMS if one.kind == "sparse" and one.checkpoint]
    assert names and all(f'"{name}": import_from_inverted_lucene' in known for name in names)
    assert "deepct" not in known.lower()
