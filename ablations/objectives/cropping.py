"""Independent cropping (Contriever; Izacard et al., TMLR 2022): two spans of one passage must have near vectors."""

import numpy as np

from ablations.objectives.cocondenser import text_of
from ablations.objectives.paired import PairedTexts
from simlm.data.inputs import Encoded, Ids, query_input
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Example

SHORTEST, LONGEST = 0.1, 0.5
"""The shares of a text that a span covers."""
DELETED = 0.1
"""How many tokens of a span are left out."""


def crop(text: Ids, rng: np.random.Generator) -> Ids:
    """Return a span of ``text`` (length,), drawn at random, without some of its tokens; at least one is left."""
    length = max(1, round(rng.uniform(SHORTEST, LONGEST) * len(text)))
    start = int(rng.integers(len(text) - length + 1))
    kept = rng.random(length) >= DELETED
    kept[int(rng.integers(length))] = True
    return text[start : start + length][kept]


class IndependentCropping(PairedTexts):
    """Izacard et al., "Unsupervised Dense Information Retrieval with Contrastive Learning" (TMLR 2022).

    Inputs: two spans of the passage, each drawn for itself, so that they may overlap: between a tenth and a half of the
    text, with a tenth of the tokens deleted. Loss: of each first span, -log softmax of the scores with the second spans
    of the batch, at its own.

    Stated choices. Negatives are the micro-batch's on one device; the paper's own model has a queue of them from a
    momentum encoder. [CLS] instead of the mean of all tokens, as retrievers here have; vectors of length 1 and the
    paper's temperature of 0.05. A title is left out, as for coCondenser; a text of one token has no pair.
    """

    label = "cropping"
    temperature = 0.05
    normalised = True

    @staticmethod
    def draw(example: Example, pieces: WordPieces, rng: np.random.Generator) -> tuple[Encoded, Encoded] | None:
        text = text_of(example)
        if len(text) < 2:
            return None
        spans = crop(text, rng), crop(text, rng)
        first, second = (query_input(span, len(span) + 2, pieces.specials) for span in spans)
        return first, second
