"""The authors' runs and teacher scores in the released archives, packed or not."""

from pathlib import Path

import pytest

from simlm.data.catalogue import SIMLM_ARCHIVE
from simlm.data.released_archive import (
    AUTHORS_BM25,
    AUTHORS_RERANKED,
    AUTHORS_RETRIEVER2,
    DISTILLATION,
    RERANKER,
    authors_run,
    authors_scores,
)
from simlm.data.released_lists import read_msmarco_run, read_training
from tests.data.released import also, distillation, packed, reranker, unpacked


def test_packed_or_not_or_absent(tmp_path: Path) -> None:
    for folder in (packed(tmp_path / "packed"), unpacked(tmp_path / "unpacked")):
        found = authors_run(folder, "test", AUTHORS_BM25)
        assert found is not None
        assert [(query, ids) for query, (ids, _) in read_msmarco_run(found)] == [("0", ["5"])]
        assert authors_run(folder, "trec-dl-2019", AUTHORS_BM25) is None
        assert authors_run(folder, "test", AUTHORS_RETRIEVER2) is None, "that is in another archive"
        assert authors_scores(folder, "test") is None
    assert authors_run(tmp_path, "test", AUTHORS_BM25) is None


@pytest.mark.parametrize("pack", [True, False])
def test_each_archive_has_its_own_runs_under_the_same_names(pack: bool, tmp_path: Path) -> None:
    folder = also(packed(tmp_path), RERANKER, reranker(), pack)
    for split, queries in (("test", 5), ("trec-dl-2019", 3), ("trec-dl-2020", 4)):
        found = authors_run(folder, split, AUTHORS_RETRIEVER2)
        assert found is not None
        rows = list(read_msmarco_run(found))
        assert len(rows) == queries and all(len(one.ids) == 12 for _, one in rows)
        assert authors_run(folder, split, AUTHORS_RERANKED) is None
    bm25 = authors_run(folder, "test", AUTHORS_BM25)
    assert bm25 is not None and [query for query, _ in read_msmarco_run(bm25)] == ["0"]


def test_the_first_archive_can_be_the_folder_itself(tmp_path: Path) -> None:
    also(unpacked(tmp_path), RERANKER, reranker(), pack=True)
    also(tmp_path, DISTILLATION, distillation(), pack=False)
    folder = next(path.parent for path in tmp_path.rglob("passages.jsonl.gz"))
    assert folder.parent == tmp_path
    assert authors_run(folder, "test", AUTHORS_BM25) == folder / "dev.msmarco.txt"
    assert (
        authors_run(folder, "test", AUTHORS_RETRIEVER2) is not None
        and authors_run(folder, "test", AUTHORS_RERANKED) is None
    )
    assert authors_scores(folder, "test") == tmp_path / DISTILLATION / "kd_dev.jsonl"


def test_a_re_ranked_run_and_teacher_scores_are_read_where_they_are(tmp_path: Path) -> None:
    folder = also(tmp_path, RERANKER, reranker(reranked=True), pack=False)
    also(folder, DISTILLATION, distillation())
    run, scores = authors_run(folder, "test", AUTHORS_RERANKED), authors_scores(folder, "test")
    assert run is not None and scores is not None
    assert next(read_msmarco_run(run))[1].ids[:2] == ["0", "1"]
    lists = list(read_training(scores))
    assert [line.query_id for line in lists] == ["0", "1", "2", "3", "4"]
    assert lists[0].positives == (["0"], [4.12345]) and lists[0].negatives.scores == [1.5, -2.25, -3.0]


def test_the_documentation_fetches_them_at_the_archives_commit() -> None:
    said = (Path(__file__).parents[2] / "docs" / "released-checkpoints.md").read_text(encoding="utf-8")
    assert f"hf download {SIMLM_ARCHIVE.repository} {RERANKER}.zip {DISTILLATION}.zip " in said
    assert f"--revision {SIMLM_ARCHIVE.revision}" in said
