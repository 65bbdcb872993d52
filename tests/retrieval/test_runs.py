from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, nDCG

from simlm.errors import UserError
from simlm.retrieval.runs import (
    PADDING,
    Run,
    read_run,
    read_run_ids,
    strictly_decreasing,
    without,
    write_rankings,
    write_run,
)
from tests.retrieval.names import Names

PASSAGES = Names([f"p{number}" for number in range(20)])
floats = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100)


def made(rows: list[list[tuple[int, float]]], depth: int) -> Run:
    indices = np.full((len(rows), depth), PADDING, dtype=np.int64)
    scores = np.full((len(rows), depth), -np.inf, dtype=np.float32)
    for number, row in enumerate(rows):
        for place, (index, score) in enumerate(row):
            indices[number, place], scores[number, place] = index, score
    return Run([f"q{number}" for number in range(len(rows))], indices, scores)


@given(st.data(), st.integers(1, 9))
def test_a_passage_is_taken_out_of_each_ranking(data: st.DataObject, depth: int) -> None:
    rankings = data.draw(st.lists(st.permutations(range(8)).map(lambda row: row[: row[0]]), min_size=1, max_size=5))
    out = data.draw(st.lists(st.integers(-1, 7), min_size=len(rankings), max_size=len(rankings)))
    run = made([[(passage, 9.0 - place) for place, passage in enumerate(row)] for row in rankings], 8)
    found = without(run, np.array(out), depth)
    for number, (row, one) in enumerate(zip(rankings, out, strict=True)):
        kept = [(passage, 9.0 - place) for place, passage in enumerate(row) if passage != one][:depth]
        assert found.depth == min(depth, 8)
        assert found.indices[number].tolist() == [passage for passage, _ in kept] + [-1] * (found.depth - len(kept))
        assert found.scores[number].tolist() == [score for _, score in kept] + [-np.inf] * (found.depth - len(kept))


@given(st.lists(floats, min_size=1, max_size=30))
def test_strictly_decreasing_steps_down_by_the_smallest_float(values: list[float]) -> None:
    scores = np.sort(np.array(values, dtype=np.float32))[::-1]
    got = strictly_decreasing(scores)
    expected = [scores[0]]
    for score in scores[1:]:
        below = np.nextafter(expected[-1], np.float32(-np.inf), dtype=np.float32)
        expected.append(min(score, below))
    assert got.dtype == np.float32
    assert (np.diff(got) < 0).all()
    np.testing.assert_array_equal(got, np.array(expected, dtype=np.float32))


def test_strictly_decreasing_counts_both_zeros_as_one() -> None:
    got = strictly_decreasing(np.array([0.0, -0.0, 0.0], dtype=np.float32))
    assert got[0] == 0 and (np.diff(got) < 0).all()


@given(
    st.lists(
        st.dictionaries(st.integers(0, 19), floats | st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2**-23]), max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_a_written_run_comes_back_in_order(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> None:
    path = tmp_path_factory.mktemp("runs") / "a.run"
    run = made([list(row.items()) for row in rows], 12)
    write_run(path, run, PASSAGES, "tag")
    back = read_run(path, run.query_ids, PASSAGES)
    for number, row in enumerate(rows):
        expected = sorted(row, key=lambda index: (-np.float32(row[index]), index))
        found = back.indices[number]
        assert found[found != PADDING].tolist() == expected
        scores = back.scores[number][found != PADDING]
        assert (np.diff(scores) < 0).all()
    again = path.with_name("b.run")
    write_run(again, back, PASSAGES, "tag")
    assert again.read_bytes() == path.read_bytes()


def test_the_file_is_trec_and_its_text_strictly_decreasing(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    write_run(path, made([[(3, 0.5), (1, 0.5), (2, 0.75)]], 4), PASSAGES, "simlm")
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [(line[0], line[1], line[2], line[3], line[5]) for line in lines] == [
        ("q0", "Q0", "p2", "1", "simlm"),
        ("q0", "Q0", "p1", "2", "simlm"),
        ("q0", "Q0", "p3", "3", "simlm"),
    ]
    assert [line[4] for line in lines] == ["0.75", "0.5", "0.49999997"]
    assert list(tmp_path.iterdir()) == [path]


def test_tools_that_break_ties_apart_agree_on_our_files(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    write_run(path, made([[(index, 1.0) for index in range(5)]], 5), PASSAGES, "tag")
    qrels = {"q0": {"p1": 1}}
    values = ir_measures.calc_aggregate([RR @ 10, nDCG @ 10], qrels, ir_measures.read_trec_run(str(path)))
    assert values[RR @ 10] == 0.5
    assert values[nDCG @ 10] == pytest.approx(1 / np.log2(3))


def test_reading_follows_the_queries_given_and_sorts(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    path.write_text("b Q0 p1 1 1.5 x\nb Q0 p0 2 2.5 x\na Q0 p7 1 -1 x\na Q0 p2 1 -1 x\n")
    run = read_run(path, ["a", "none", "b"], PASSAGES)
    assert run.indices.tolist() == [[2, 7], [-1, -1], [0, 1]]
    assert run.scores.tolist() == [[-1, -1], [-np.inf, -np.inf], [2.5, 1.5]]
    assert list(read_run_ids(path)) == [("b", ["p1", "p0"], [1.5, 2.5]), ("a", ["p7", "p2"], [-1.0, -1.0])]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("q Q0 p1 1 2.0 x\nq Q0 p2 2 1.0\n", 2, "not a line of a TREC run"),
        ("q Q0 p1 one 2.0 x\n", 1, "not a line of a TREC run"),
        ("q Q0 p1 1 nan x\n", 1, "not a line of a TREC run"),
        ("q Q0 p1 1 1e99 x\n", 1, "not a line of a TREC run"),
        ("\n", 1, "not a line of a TREC run"),
        ("q Q0 p1 1 2.0 x\nq Q0 p2 2 1.0 x", 2, "cut short"),
        ("q Q0 p1 1 2.0 x\nq Q0 p99 2 1.0 x\n", 2, "unknown passage 'p99'"),
        ("q Q0 p1 1 2.0 x\nz Q0 p2 2 1.0 x\n", 2, "unknown query 'z'"),
        ("q Q0 p1 1 2.0 x\nq Q0 p1 2 1.0 x\n", 2, "comes twice"),
        ("q Q0 p1 1 2.0 x\nr Q0 p1 1 2.0 x\nq Q0 p2 2 1.0 x\n", 3, "comes again"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "bad.run"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_run(path, ["q", "r"], PASSAGES)
    assert f"{path}:{line}: " in str(error.value)
    assert words in str(error.value)


def test_bytes_that_are_no_text_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.run"
    path.write_bytes(b"q Q0 p\xff 1 2.0 x\n")
    with pytest.raises(UserError, match=r"bad\.run:1: invalid UTF-8"):
        list(read_run_ids(path))
    with pytest.raises(UserError, match="can't read this run"):
        list(read_run_ids(tmp_path / "none.run"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    write_rankings(path, [("q", ["p"], np.ones(1))], "tag")
    before = path.read_bytes()
    for id, said in (("a b", "white space"), ("", "is empty"), ("a\0", r"control character U\+0000")):
        with pytest.raises(UserError, match=said):
            write_rankings(path, [("q", ["p"], np.ones(1)), ("r", [id], np.ones(1))], "tag")
    with pytest.raises(ValueError, match="infinite"):
        write_run(path, made([[(1, np.inf)]], 1), PASSAGES, "tag")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
