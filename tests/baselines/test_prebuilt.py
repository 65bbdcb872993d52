"""An index that Anserini built, searched as Anserini does: the rankings of our own BM25 over the same texts."""

from pathlib import Path

import numpy as np
import pytest

from baselines.bm25 import build_index, search_index
from baselines.prebuilt_index import check_index, search_prebuilt
from simlm.data.collection import Passage, Query
from simlm.errors import UserError
from simlm.retrieval.runs import read_run_ids
from tests.baselines.repositories import prebuilt

TEXTS = ["a green tea", "green green leaves", "tea and more tea", "the roof of a house", "house tea", "more"]
QUERIES = [Query("1", "green\ttea"), Query("2", "houses"), Query("3", "nothing like it")]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("anserini") / "index"
    return prebuilt(folder, ((str(number), text) for number, text in enumerate(TEXTS)))


def test_rankings_are_those_of_our_own_bm25(index: Path, tmp_path: Path) -> None:
    search_prebuilt(str(index), QUERIES, tmp_path / "theirs.run", 0.82, 0.68, 4)
    build_index([Passage(str(number), "", text) for number, text in enumerate(TEXTS)], tmp_path / "index")
    search_index(tmp_path / "index", QUERIES, tmp_path / "ours.run", 0.82, 0.68, 4)
    theirs, ours = (list(read_run_ids(tmp_path / f"{name}.run")) for name in ("theirs", "ours"))
    assert [(query, ids) for query, ids, _ in theirs] == [(query, ids) for query, ids, _ in ours]
    assert [query for query, _, _ in theirs] == ["1", "2"]
    for (*_, one), (*_, other) in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)  # Anserini rounds to four decimals


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no index of Lucene's, it has no segments_ file"):
        check_index(tmp_path)
    (tmp_path / "segments_1").write_bytes(b"damaged")
    with pytest.raises(UserError, match="Anserini cannot search it"):
        search_prebuilt(str(tmp_path), QUERIES, tmp_path / "found.run", 0.9, 0.4, 4)
    assert not (tmp_path / "found.run").exists()
