"""The cells of Table 10: which half of the collection is searched, and what the start was pre-trained on."""

from ablations.starts import corpus_name
from simlm.data.catalogue import HALVES

NONE = "none"
"""No further pre-training."""


def corpora(searched: str) -> list[str]:
    """What the starts fine-tuned on a half were pre-trained on, best first by the paper: it, the other, nothing."""
    return [searched, *(half for half in HALVES if half != searched), NONE]


def cell_name(searched: str, corpus: str) -> str:
    """The cell's name, which is its row's key."""
    return f"{searched}-on-{corpus}"


CORPORA: dict[str, tuple[str, str]] = {
    cell_name(searched, corpus): (searched, "base" if corpus == NONE else corpus_name(corpus))
    for searched in HALVES
    for corpus in corpora(searched)
}
"""Of each cell the half that is searched, and the start that is fine-tuned on it."""
