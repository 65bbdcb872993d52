"""Whether a passage answers a question, by the match of strings that DPR (Karpukhin et al., 2020) made the NQ protocol.

A passage counts when the tokens of an answer stand in the passage's text, one right after the other: both in Unicode's
decomposed form (NFD), cut into tokens as DPR's SimpleTokenizer does, and in lower case. This is Pyserini's
`has_answers`, which gave the figures of the paper's Table 4. The title does not count.
"""

import unicodedata
from collections.abc import Iterable

import regex
from ir_measures import Success
from ir_measures.measures import Measure

MEASURES: tuple[Measure, ...] = (Success @ 20, Success @ 100)
"""Table 4's R@20 and R@100, the share of questions with a passage that counts in the top k. ir_measures calls that
Success; its R@k is the share of the relevant passages that were found."""

TOKEN = regex.compile(r"([\p{L}\p{N}\p{M}]+)|[^\p{Z}\p{C}]")
"""DPR's SimpleTokenizer: a word (group 1) or a single other character that is neither white space nor control."""


def spaced(text: str) -> str:
    """The tokens of a text in lower case, each behind a space and the last before one; " " for a text without tokens.

    No token holds a space, so `spaced(answer) in spaced(text)` says whether the answer's tokens stand in the text.
    """
    tokens = (match[0].lower() for match in TOKEN.finditer(unicodedata.normalize("NFD", text)))
    return " " + "".join(f"{token} " for token in tokens)


def has_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether a text contains one of the answers.

    As in Pyserini, an answer without a token ("") is in every text; no answers at all are in none.
    """
    within = spaced(text)
    return any(spaced(answer) in within for answer in answers)
