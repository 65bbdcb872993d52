"""Answers for a collection that has none: the rarest pair of words of each relevant passage.

The rule, for runs of ``words`` = 2 words (`simlm.stages.pipeline.ANSWER_WORDS`). A relevant passage of a question gives
one answer: of the pairs of adjacent words in its text, with nothing but white space between them and neither word
standing in the question, the pair that the fewest passages of the collection contain; of equally rare ones the first in
the text. Where every pair of a passage has a word of the question, all its pairs are taken; a passage without a pair
gives nothing. Several relevant passages give several answers, any of which will do. Tokens are those of
`simlm.evaluation.answers`, so a passage contains a pair exactly when `contains_answer` says so.

Why two words. Of an answer one expects that few passages contain it which do not answer the question. The rarest single
word of a passage is often one that dozens of others have by chance, too many for a share of questions with a hit among
100; the rarest three words are next to always the passage's own, so that matching them would only be a long way to look
the passage up. The rarest two are mostly its own, and otherwise in a handful that quotes it or has the same name or
figure. NQ's answers are as short (five tokens at most). Why no word of the question. What is rarest in a passage about
Lasik is that name and what stands beside it, which the question gives away: matching it would reward a ranker for
repeating the question, while an answer in NQ is what the question lacks.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from simlm.data.collection import Collection
from simlm.evaluation.answers import TOKEN, spaced
from simlm.progress import Bar


class Phrase(NamedTuple):
    """Adjacent words of a text, decomposed and with a space between two, and the same as it is matched (`spaced`)."""

    text: str
    key: str


class Answer(NamedTuple):
    """An answer, the relevant passage that it comes from, and how many passages of the collection contain it."""

    text: str
    passage: str
    passages: int


Answers = dict[str, list[Answer]]
"""A split's answers by query id, in its order; [] for a query without a relevant passage that gives one."""


def phrases(text: str, words: int) -> Iterator[Phrase]:
    """Yield the runs of ``words`` adjacent words of a text, in its order."""
    found: list[str | None] = [match[1] for match in TOKEN.finditer(unicodedata.normalize("NFD", text))]
    for start in range(len(found) - words + 1):
        window = [word for word in found[start : start + words] if word is not None]
        if len(window) == words:  # no punctuation in between
            yield Phrase(" ".join(window), f" {' '.join(word.lower() for word in window)} ")


def derive_answers(collection: Collection, splits: Sequence[str], words: int) -> dict[str, Answers]:
    """Return the answers of every query of some splits, by the rule above.

    Reads the passages twice, one at a time. Holds the texts of these splits' relevant passages and a count for each of
    their phrases, so memory grows with the queries and not with the corpus.
    """
    relevant = {split: _relevant(collection, split) for split in splits}
    wanted = {passage for rows in relevant.values() for row in rows.values() for passage in row}
    texts = {passage.id: passage.text for passage in collection.passages() if passage.id in wanted}
    counts = dict.fromkeys((phrase.key for text in texts.values() for phrase in phrases(text, words)), 0)
    for passage in Bar(collection.passages(), desc="rarest phrases", unit=" passages"):
        for key in {phrase.key for phrase in phrases(passage.text, words)} & counts.keys():
            counts[key] += 1
    return {
        split: {
            query.id: [
                answer
                for passage in relevant[split][query.id]
                for answer in _rarest(passage, list(phrases(texts[passage], words)), query.text, counts)
            ]
            for query in collection.queries(split)
        }
        for split in splits
    }


def _relevant(collection: Collection, split: str) -> dict[str, list[str]]:
    """Return the relevant passages of every query of a split."""
    relevant = collection.relevant(split)
    return {query.id: relevant.get(query.id, []) for query in collection.queries(split)}


def _rarest(passage: str, every: Sequence[Phrase], question: str, counts: Mapping[str, int]) -> list[Answer]:
    """Return the answer that a passage gives, if any."""
    asked = set(spaced(question).split())
    foreign = [phrase for phrase in every if asked.isdisjoint(phrase.key.split())]
    candidates = foreign or every
    if not candidates:
        return []
    best = min(candidates, key=lambda phrase: counts[phrase.key])
    return [Answer(best.text, passage, counts[best.key])]


def write_answers(path: Path, answers: Mapping[str, Sequence[Answer | str]]) -> None:
    """Write one JSON object a query: its id, and its answers, with their passage and count where they are derived."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query, row in answers.items():
            found = [{"text": answer} if isinstance(answer, str) else answer._asdict() for answer in row]
            file.write(json.dumps({"query_id": query, "answers": found}, ensure_ascii=False) + "\n")


def read_answers(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield query ids and the answers' texts, in the file's order."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row = json.loads(line)
            yield row["query_id"], [answer["text"] for answer in row["answers"]]
