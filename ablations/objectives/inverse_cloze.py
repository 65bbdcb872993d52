"""The inverse cloze task, ICT (Lee, Chang, Toutanova, ACL 2019): a sentence must find the passage that it came from."""

import numpy as np

from ablations.objectives.cocondenser import text_of
from ablations.objectives.paired import PairedTexts
from simlm.data.inputs import Encoded, Ids, query_input
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Example

REMOVED = 0.9
"""How often the sentence is taken out of its passage (Section 9.2 of the paper)."""


def sentences(text: Ids, pieces: WordPieces) -> list[tuple[int, int]]:
    """Return (start, end) of every sentence of ``text`` (length,): one ends behind a run of ".", "!" or "?"."""
    ends = pieces.ends[text]
    last = np.flatnonzero(ends & ~np.append(ends[1:], False)) + 1
    bounds = [0, *last.tolist(), len(text)]
    return [(start, end) for start, end in zip(bounds, bounds[1:], strict=False) if start < end]


class InverseCloze(PairedTexts):
    """Lee, Chang, Toutanova, "Latent Retrieval for Weakly Supervised Open Domain Question Answering" (ACL 2019).

    Inputs: a sentence of the passage, drawn at random, as [CLS] sentence [SEP], and the passage with its title, from
    which the sentence is removed nine times of ten, so that words in common are not all that is learnt. Loss: of each
    sentence, -log softmax of the inner products with the passages of the batch, at its own.

    Stated choices. One encoder for both texts, as retrievers here have; no projection, so that [CLS] itself is trained.
    A sentence ends at ".", "!" or "?", since collections come without sentences; a passage of one sentence has no pair.
    Negatives come from the micro-batch on one device.
    """

    label = "ICT"

    @staticmethod
    def draw(example: Example, pieces: WordPieces, rng: np.random.Generator) -> tuple[Encoded, Encoded] | None:
        text = text_of(example)
        start = len(example.ids) - 1 - len(text)
        found = sentences(text, pieces)
        if len(found) < 2:
            return None
        first, end = found[int(rng.integers(len(found)))]
        kept = np.ones(len(example.ids), dtype=bool)
        kept[start + first : start + end] = rng.random() >= REMOVED
        sentence = query_input(text[first:end], end - first + 2, pieces.specials)
        return sentence, (example.ids[kept], example.types[kept])
