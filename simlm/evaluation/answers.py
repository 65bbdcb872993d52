"""Which passages answer a question, by the match of strings that DPR (Karpukhin et al., 2020) made the NQ protocol.

A passage counts when the tokens of an answer stand in the passage's text, one right after the other: both in Unicode's
decomposed form (NFD), cut into tokens as DPR's SimpleTokenizer does, and in lower case. This is Pyserini's
`has_answers`, which gave the figures of the paper's Table 4. The title does not count.
"""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import regex
from ir_measures import Success
from ir_measures.measures import Measure

from simlm.data.collection import Passage
from simlm.progress import Bar

MEASURES: tuple[Measure, ...] = (Success @ 20, Success @ 100)
"""Table 4's R@20 and R@100, the share of questions with a passage that counts in the top k. ir_measures calls that
Success; its R@k is the share of the relevant passages that were found."""

TOKEN = regex.compile(r"([\p{L}\p{N}\p{M}]+)|[^\p{Z}\p{C}]")
"""DPR's SimpleTokenizer: a word (group 1) or a single other character that is neither white space nor control."""


def spaced(text: str) -> str:
    """Return the tokens of a text in lower case, each behind a space and the last before one; " " for no tokens.

    No token holds a space, so `spaced(answer) in spaced(text)` says whether the answer's tokens stand in the text.
    """
    tokens = (match[0].lower() for match in TOKEN.finditer(unicodedata.normalize("NFD", text)))
    return " " + "".join(f"{token} " for token in tokens)


def contains_answer(
    indices: npt.NDArray[np.int64], answers: Sequence[Sequence[str]], passages: Iterable[Passage]
) -> npt.NDArray[np.bool_]:
    """Tell which places of a run hold a passage that contains an answer of its question.

    As in Pyserini, an answer without a token ("") is in every text; no answers at all are in none. The collection is
    read once, a passage at a time, and each retrieved passage is cut into tokens once; beside that only places are
    held.

    Args:
        indices: (Q, k) passage indices, negative where a place is empty.
        answers: those of each of the Q questions.
        passages: the whole collection, in the order of the indices.

    Returns:
        bool (Q, k).
    """
    wanted = [[spaced(answer) for answer in row] for row in answers]
    rows, columns = np.nonzero(indices >= 0)
    order = np.argsort(indices[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    retrieved, starts = np.unique(indices[rows, columns], return_index=True)
    ends = np.append(starts[1:], len(rows))
    found = np.zeros(indices.shape, dtype=bool)
    place = 0
    for number, passage in enumerate(Bar(passages, desc="answers", unit=" passages")):
        if place < len(retrieved) and retrieved[place] == number:
            text = spaced(passage.text)
            for at in range(starts[place], ends[place]):
                found[rows[at], columns[at]] = any(answer in text for answer in wanted[rows[at]])
            place += 1
    return found
