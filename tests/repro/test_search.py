"""`--search faiss` reaches the stages, which keep their names and find what torch finds."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.repro.commands import Results, assert_same_run, table2

NAME = "Retriever1 (random): runs"
NOTING = """
import os, sys
sys.path.remove(os.path.dirname(__file__))
del sys.modules["faiss"]
import faiss
knn = faiss.knn
def noted(queries, *others, **options):
    with open(os.path.join(os.path.dirname(__file__), "asked"), "a") as file:
        print(len(queries), file=file)
    return knn(queries, *others, **options)
faiss.knn = noted
"""
"""A module that stands before faiss, and notes what it is asked."""


def test_faiss_searches_where_it_is_asked_to(smoke: Results, dry_run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "faiss.py").write_text(NOTING)
    copy = smoke.copy(tmp_path / "results", without=(NAME,))
    job = copy.folder / smoke.job(NAME).relative_to(smoke.folder)
    paths = {"PYTHONPATH": f"{tmp_path}:."}
    ran = table2("--results", str(copy.folder), "--rows", "random", "--search", "faiss", "--device", "cpu", **paths)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "asked").read_text().split()
    for split in ("valid", "test"):
        assert_same_run(smoke.job(NAME), job, split)
    assert re.search(r"^0 of \d+ stages to do", dry_run("table2", results=copy.folder, rows=("random",)), re.MULTILINE)
