"""Answers looked for in one reading of the corpus, against asking each place alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simlm.data.collection import Passage
from simlm.evaluation.answering import answering
from simlm.evaluation.answers import has_answer

words = st.sampled_from(["red", "Red", "blue", "deep blue", "sea", ""])
texts = st.lists(words, max_size=5).map(" ".join)


@given(st.lists(texts, min_size=1, max_size=6), st.lists(st.lists(words, max_size=2), max_size=4), st.data())
def test_each_place_is_asked(passages: list[str], answers: list[list[str]], data: st.DataObject) -> None:
    numbers = st.integers(-1, len(passages) - 1)
    rows = [data.draw(st.lists(numbers, min_size=3, max_size=3)) for _ in answers]
    indices = np.array(rows, dtype=np.int64).reshape(len(answers), 3)
    corpus = [Passage(str(number), "red", text) for number, text in enumerate(passages)]
    found = answering(indices, answers, iter(corpus))
    for row, places in enumerate(indices.tolist()):
        expected = [place >= 0 and has_answer(passages[place], answers[row]) for place in places]
        assert found[row].tolist() == expected, "the text counts, and the title does not"
    assert found.shape == indices.shape and found.dtype == bool
