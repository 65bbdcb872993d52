"""Derived answers against a brute-force search with Pyserini's tokens, and the rule's corners."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyserini.eval.evaluate_dpr_retrieval import SimpleTokenizer, _normalize, has_answers

from simlm.data.collection import Collection, Passage, Query
from simlm.data.opening import open_collection
from simlm.evaluation.answers import spaced
from simlm.evaluation.derived_answers import Answer, derive_answers, phrases, read_answers, write_answers
from tests.rows import collection_of

TOKENIZER = SimpleTokenizer()


def words_of(text: str) -> list[str]:
    return TOKENIZER.tokenize(_normalize(text)).words()


def is_word(token: str) -> bool:
    return len(token) > 1 or token.isalnum()


def expected(passage: str, question: str, corpus: list[str]) -> tuple[str, int] | None:
    """The rule as one would do it by hand: every pair of a passage, counted through the whole corpus."""
    asked = {word.lower() for word in words_of(question)}
    tokens = words_of(passage)
    pairs = [pair for pair in zip(tokens, tokens[1:], strict=False) if all(map(is_word, pair))]
    foreign = [pair for pair in pairs if not {word.lower() for word in pair} & asked]
    best = None
    for pair in foreign or pairs:
        answer = " ".join(pair)
        count = sum(has_answers(text, [answer], TOKENIZER) for text in corpus)
        if best is None or count < best[1]:
            best = (answer, count)
    return best


def made(passages: list[str], *queries: tuple[str, dict[str, int]]) -> Collection:
    """A collection with one split, passages called p0, p1, ... and queries q0, q1, ..."""
    return collection_of(
        "toy",
        [Passage(f"p{i}", "", text) for i, text in enumerate(passages)],
        {
            "test": (
                [Query(f"q{i}", text) for i, (text, _) in enumerate(queries)],
                {f"q{i}": judged for i, (_, judged) in enumerate(queries) if judged},
            )
        },
    )


def derived(passages: list[str], *queries: tuple[str, dict[str, int]]) -> list[list[Answer]]:
    return list(derive_answers(made(passages, *queries), ["test"], 2)["test"].values())


def test_the_rarest_pair_is_taken_and_its_passages_counted() -> None:
    passages = ["red fox runs", "red fox sleeps", "A Red Fox runs far", "the fox"]
    assert derived(passages, ("what?", {"p0": 1, "p2": 1})) == [[Answer("fox runs", "p0", 2), Answer("A Red", "p2", 1)]]


def test_of_equally_rare_pairs_the_first_is_taken_as_the_text_spells_it() -> None:
    assert derived(["Caf\u00e9 Noir is here"], ("what?", {"p0": 1})) == [[Answer("Cafe\u0301 Noir", "p0", 1)]]


def test_a_pair_has_no_word_of_the_question_unless_every_pair_has() -> None:
    passages = ["lasik surgery costs much money", "costs much", "LASIK!"]
    ((one,), (other,)) = derived(passages, ("Is Lasik covered?", {"p0": 1}), ("Is much surgery money?", {"p0": 1}))
    assert one == Answer("surgery costs", "p0", 1)
    assert other == Answer("lasik surgery", "p0", 1)


def test_punctuation_parts_words_and_a_passage_without_a_pair_gives_nothing() -> None:
    assert derived(["yes, no. maybe", "yes no"], ("what?", {"p0": 1}), ("what?", {"p0": 1, "p1": 1})) == [
        [],
        [Answer("yes no", "p1", 1)],
    ]


def test_passages_that_are_not_relevant_give_nothing_and_every_query_is_there() -> None:
    assert derived(["one two"], ("what?", {"p0": 0}), ("what?", {})) == [[], []]


def test_a_title_does_not_count() -> None:
    collection = collection_of(
        "toy", [Passage("p0", "grand title", "red fox")], {"test": ([Query("q0", "what?")], {"q0": {"p0": 1}})}
    )
    assert derive_answers(collection, ["test"], 2) == {"test": {"q0": [Answer("red fox", "p0", 1)]}}


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_search_by_hand_on_random_texts(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vocabulary = np.array(["a", "A", "b", "c", "\u00e9", "e\u0301", "12", ",", "-", "d.", "b b"])
    passages = [" ".join(generator.choice(vocabulary, generator.integers(0, 7))) for _ in range(25)]
    queries = [
        (str(generator.choice(vocabulary)), {f"p{i}": 1 for i in generator.choice(25, 2, replace=False)})
        for _ in range(20)
    ]
    for (question, judged), answers in zip(queries, derived(passages, *queries), strict=True):
        wanted = [(id, expected(passages[int(id[1:])], question, passages)) for id in judged]
        assert answers == [Answer(found[0], id, found[1]) for id, found in wanted if found is not None]


def test_on_the_smoke_collection_every_relevant_passage_contains_its_answer() -> None:
    collection = open_collection("insuranceqa-smoke")
    answers = derive_answers(collection, ["valid", "test"], 2)
    texts = {passage.id: passage.text for passage in collection.passages()}
    assert list(answers) == ["valid", "test"]
    for split, rows in answers.items():
        judged = collection.qrels(split)
        assert list(rows) == [query.id for query in collection.queries(split)]
        for query, row in rows.items():
            assert [answer.passage for answer in row] == list(judged[query])
            assert all(has_answers(texts[answer.passage], [answer.text], TOKENIZER) for answer in row)
    for answer in (row[0] for row in list(answers["test"].values())[:4]):
        assert answer.passages == sum(has_answers(text, [answer.text], TOKENIZER) for text in texts.values())


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_phrase_is_matched_as_any_answer_is_and_its_text_contains_it(text: str) -> None:
    for phrase in phrases(text, 2):
        assert phrase.key == spaced(phrase.text) and phrase.key in spaced(text)
        assert has_answers(text, [phrase.text], TOKENIZER)


@pytest.mark.parametrize("words", [1, 2, 3])
def test_a_phrase_is_a_run_of_words_as_long_as_asked(words: int) -> None:
    found = [phrase.text for phrase in phrases("One two, THREE four\nfive", words)]
    assert (
        found
        == {
            1: ["One", "two", "THREE", "four", "five"],
            2: ["One two", "THREE four", "four five"],
            3: ["THREE four five"],
        }[words]
    )


def test_answers_on_disk_are_read_in_their_order(tmp_path: Path) -> None:
    answers = {"b": [Answer('a "q" \u2028 \u4e2d', "p", 1), Answer("c d", "r", 2)], "a": []}
    write_answers(tmp_path / "answers.jsonl", answers)
    assert len((tmp_path / "answers.jsonl").read_bytes().splitlines()) == 2
    assert list(read_answers(tmp_path / "answers.jsonl")) == [("b", ['a "q" \u2028 \u4e2d', "c d"]), ("a", [])]
