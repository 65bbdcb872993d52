"""The match of answers: cases by hand, and Pyserini's own function on whatever texts there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyserini.eval.evaluate_dpr_retrieval import SimpleTokenizer, _normalize, has_answers

from simlm.data.collection import Passage
from simlm.evaluation.answers import MEASURES, contains_answer, spaced

AWKWARD = "aAbBzß éÉe\u0301İiıΣσςΩ\u212bﬁ中한१²½ʰ\u200d\u200b\u00ad.,-'’$%&_/()\u00a0\u2003\u2028\t\n\r\x00\x85🙂\ud800"
"""Letters that change with case or form, marks alone, digits of other scripts, symbols, white space, controls."""

words = st.sampled_from(["red", "Red", "blue", "deep blue", "sea", ""])
texts = st.text(st.sampled_from(AWKWARD), max_size=30) | st.text(max_size=30)


def has_answer(text: str, answers: list[str]) -> bool:
    """What is told of a run with this passage alone."""
    return bool(contains_answer(np.array([[0]]), [answers], [Passage("p", "", text)])[0, 0])


@pytest.mark.parametrize(
    ("text", "answer", "found"),
    [
        ("It was in Paris, in 1999.", "paris", True),
        ("It was in Paris, in 1999.", "Paris 1999", False),  # tokens must be next to each other
        ("It was in Paris, in 1999.", "paris , IN", True),
        ("a category", "cat", False),  # tokens are whole
        ("the U.S. of A.", "u . s .", True),
        ("the US of A.", "U.S.", False),
        ("a cafe\u0301 here", "CAF\u00c9", True),  # composed and decomposed forms are one
        ("a cafe here", "caf\u00e9", False),
        ("new\u00a0york\u2003city", "new york", True),
        ("semi\u00adconductor", "semi conductor", True),  # a soft hyphen is no token, but parts tokens
        ("", "x", False),
        ("x", "x x", False),
    ],
)
def test_what_counts(text: str, answer: str, found: bool) -> None:
    assert has_answer(text, [answer]) is found
    assert has_answers(text, [answer], SimpleTokenizer()) is found


def test_any_answer_will_do_none_is_in_nothing_and_an_empty_one_in_everything() -> None:
    assert has_answer("one two", ["three", "two"])
    assert not has_answer("one two", [])
    for empty in ("", " \t", "\u200b"):
        assert has_answer("one", [empty]) and has_answer("", [empty])
        assert has_answers("one", [empty], SimpleTokenizer()) and has_answers("", [empty], SimpleTokenizer())


@settings(deadline=None, max_examples=50)
@given(texts)
def test_tokens_are_pyserinis(text: str) -> None:
    tokens = SimpleTokenizer().tokenize(_normalize(text)).words(uncased=True)
    assert spaced(text) == "".join(f" {token}" for token in tokens) + " "
    assert not any(" " in token or not token for token in tokens)


@settings(deadline=None, max_examples=50)
@given(texts, st.lists(texts, max_size=3), st.data())
def test_matches_are_pyserinis(text: str, answers: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for tried in (answers, [*answers, text[start:end]], [text[start:end].swapcase()]):
        assert has_answer(text, tried) == has_answers(text, tried, SimpleTokenizer())


def test_measures_have_the_names_of_ir_measures() -> None:
    assert [str(measure) for measure in MEASURES] == ["Success@20", "Success@100"]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(words, max_size=5).map(" ".join), min_size=1, max_size=6),
    st.lists(st.lists(words, max_size=2), max_size=4),
    st.data(),
)
def test_each_place_is_asked(passages: list[str], answers: list[list[str]], data: st.DataObject) -> None:
    numbers = st.integers(-1, len(passages) - 1)
    rows = [data.draw(st.lists(numbers, min_size=3, max_size=3)) for _ in answers]
    indices = np.array(rows, dtype=np.int64).reshape(len(answers), 3)
    corpus = [Passage(str(number), "red", text) for number, text in enumerate(passages)]
    found = contains_answer(indices, answers, iter(corpus))
    for row, places in enumerate(indices.tolist()):
        expected = [place >= 0 and has_answer(passages[place], answers[row]) for place in places]
        assert found[row].tolist() == expected, "the text counts, and the title does not"
    assert found.shape == indices.shape and found.dtype == bool
