"""What stands for BERT-base, and rows that stand on a public model that the paper did not start from.

That is the start of mini's re-ranker, and of everything at small. It knows more than any stand-in of ours, from outside
the comparison.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reports.model import CheckedOrder
from repro.training_diagnostics import below
from simlm.scales import Scale
from simlm.scales.minilm import REPOSITORY
from simlm.stages.models import FirstLayers, PublicModel, Reinitialised
from simlm.stages.reranker import Rerank, TrainReranker
from simlm.workflow.stage import Stage

STAND_IN = (
    "What stands for BERT-base is a fresh model with word vectors of the collection's own passages as token embeddings "
    "(how often pieces stand near each other, as positive pointwise mutual information, factorised: Levy & Goldberg, "
    "2014) and attention whose value and output matrices are half the identity (Trockman & Kolter, 2023). Nothing "
    "trains it before its row is fine-tuned or pre-trained further; random init is the same model without this."
)
"""What a report says of `base` where it is no public model."""
PUBLIC_BASE = (
    "What stands for BERT-base is all-MiniLM-L6-v2, whole. It is no plain language model: its authors fine-tuned it "
    "contrastively on a billion pairs of texts, questions with their answers and MS MARCO's among them. Every dense "
    "row but random init, every re-ranker and the generator starts from it, and so knows more than the paper's rows "
    "do. A difference between two rows shows what a stage adds to a model that retrieves already, not what it adds to "
    "a language model; pre-training can also undo some of what the start knows. Its authors trained the mean of the "
    "last states. The rows here read [CLS], which was not what they trained: without further pre-training fine-tuning "
    "first has to learn to use it, and pre-training through [CLS] may gain by that alone. Whatever is decided of an "
    "order of such rows is therefore called confounded.",
    "Its files have no MLM head. Every pre-training starts from it with one that was trained on the collection while "
    "all else was frozen; the row without further pre-training needs none.",
    "Near-duplicates between the test questions and the public questions that it was fine-tuned on were not counted: "
    "its training set (a billion pairs) was not compared with the test questions.",
)
"""What a report says where all of a scale starts from the public model."""
CORPUS_PIECES = (
    "In pre-trainings, the generator's included, products with the vocabulary run over the pieces that the collection "
    "has, and the special ones: the same as the full softmax with all other logits at minus infinity."
)
"""What a report says where pre-training has the corpus's pieces alone."""


def public_start(runs: Iterable[Stage]) -> PublicModel | None:
    """Return the public model that one of some runs stands on with its weights, None where none does."""
    found = (one for run in runs for one in below(run, Reinitialised).values() if isinstance(one, PublicModel))
    return next((one for one in found if one.name == REPOSITORY), None)


def confounded(claims: Iterable[CheckedOrder], runs: Mapping[str, Stage]) -> list[CheckedOrder]:
    """Return a report's checked orders; one of which a row stands on a public start says so."""
    return [
        replace(claim, public_start=public_start([runs[claim.lower], runs[claim.higher]]) is not None)
        for claim in claims
    ]


def noted(note: str, run: Stage) -> str:
    """Return a row's note with whose teacher its run had, where that starts from a part of a public model."""
    teachers = (one.start for one in below(run).values() if isinstance(one, TrainReranker))
    start = next((one for one in teachers if isinstance(one, FirstLayers)), None)
    if start is None:
        return note
    said = (
        f"{'The re-ranker' if isinstance(run, Rerank) else 'Its teacher, the re-ranker,'} starts from the first "
        f"{start.layers} layers of {start.start.name}, a public model with its own tokenizer, which its authors "
        "fine-tuned on a billion pairs of texts, MS MARCO's among them: supervision from outside this comparison."
    )
    return f"{note} {said}".strip()


def said_of_start(scale: Scale) -> list[str]:
    """Return what a report says of what stands for BERT-base at a scale; [] where BERT-base does."""
    if not isinstance(scale.encoder, str):
        return [STAND_IN]
    own = [CORPUS_PIECES] if scale.pretraining.corpus_pieces else []
    return [*PUBLIC_BASE, *own] if scale.encoder == REPOSITORY else own
