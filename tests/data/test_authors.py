"""The authors' runs in the released archive, packed or not."""

from pathlib import Path

from simlm.data.authors import authors_run
from simlm.data.scored import read_msmarco_run
from tests.data.released import packed, unpacked


def test_packed_or_not_or_absent(tmp_path: Path) -> None:
    for folder in (packed(tmp_path / "packed"), unpacked(tmp_path / "unpacked")):
        found = authors_run(folder, "test")
        assert found is not None
        assert [(query, ids) for query, (ids, _) in read_msmarco_run(found)] == [("0", ["5"])]
        assert authors_run(folder, "trec-dl-2019") is None
    assert authors_run(tmp_path, "test") is None
