"""An exported model held against ours and against the run that its stage left, on the same questions and passages."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from ir_measures import RR
from transformers.utils.logging import disable_progress_bar

from simlm.data.collection import Collection, Passage
from simlm.data.inputs import Encoded, Specials, passage_input, query_input
from simlm.data.store import TokenisedCollection
from simlm.errors import UserError
from simlm.evaluation.measures import counted_from, evaluate
from simlm.export.models import Titles
from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.datasets import Pairs
from simlm.finetuning.negatives import Indices
from simlm.finetuning.reranker import Reranker
from simlm.finetuning.scoring import PairScorer
from simlm.models.load import load_body, load_reranker
from simlm.packed.layouts import Inference, length_batches
from simlm.packed.texts import Padded
from simlm.retrieval.rerank import rerank
from simlm.retrieval.runs import PADDING, Run, write_run

QUESTIONS, PLACES = 200, 20
"""Questions that are scored, and places of each one's ranking."""
TOLERANCE = 1e-5
"""Largest difference from our scores that is allowed, as a share of the largest of them where that is above 1."""
RR_TOLERANCE = 0.001
"""Change of RR@10 above which a user is told so."""
CPU = torch.device("cpu")

GIVEN: dict[Titles, Callable[[Passage], Any]] = {
    "none": lambda passage: passage.text,
    "pair": lambda passage: [passage.title, passage.text],
    "joined": lambda passage: f"{passage.title} {passage.text}" if passage.title else passage.text,
}
"""How a passage is given to an exported retriever."""


def given_to_reranker(passage: Passage) -> str:
    """Return a passage as it is given to an exported re-ranker."""
    return f"{passage.title}: {passage.text}" if passage.title else passage.text


class Deviation(NamedTuple):
    """How far an export's scores lie from others of the same pairs."""

    questions: int
    pairs: int
    ours: float
    """Largest difference from this repository's scores in float32."""
    run: float
    """Largest difference from the run's scores, which may have been computed in bfloat16."""
    rr: tuple[float, float] | None
    """RR@10 of the run, and of the same passages in the order of the export's scores; None without judgements."""

    def told(self, precision: str) -> str:
        """Return what a user is told, with the precision in which the run was computed."""
        line = (
            f"{self.questions} questions, {self.pairs:,} pairs under sentence-transformers: scores differ by at most "
            f"{self.ours:.1e} from ours in float32, by at most {self.run:.1e} from the run's ({precision})"
        )
        if self.rr is None:
            return line
        before, after = self.rr
        changed = f"{line}; RR@10 {before:.4f} in the run, {after:.4f} by these scores ({after - before:+.4f})"
        return f"{changed}, more than {RR_TOLERANCE:g}" if abs(after - before) > RR_TOLERANCE else changed


class Sample:
    """The first questions of a split with the first passages of each one's run.

    Args:
        collection: The tokenised collection.
        source: The same collection's texts.
        split: The split.
        run: The run of the split, over all its queries.
        depth: Places of a ranking whose scores are the model's.
    """

    def __init__(self, collection: TokenisedCollection, source: Collection, split: str, run: Run, depth: int) -> None:
        self.collection, self.split = collection, split
        self.qrels = source.qrels(split) if len(collection.qrels(split)) else {}
        asked = [place for place, id in enumerate(run.query_ids) if not self.qrels or id in self.qrels][:QUESTIONS]
        depth = min(depth, PLACES)
        self.run = Run([run.query_ids[i] for i in asked], run.indices[asked, :depth], run.scores[asked, :depth])
        self.measure = counted_from(RR @ 10, source.relevant_grade(split))
        rows, columns = np.nonzero(self.run.indices != PADDING)
        self.scores = self.run.scores[rows, columns]
        self.queries: Indices = np.array(asked, dtype=np.int64)[rows]
        self.passages: Indices = self.run.indices[rows, columns]
        asked_for, found = set(asked), set(self.passages.tolist())
        self.questions = {i: query.text for i, query in enumerate(source.queries(split)) if i in asked_for}
        self.texts = {i: passage for i, passage in enumerate(source.passages()) if i in found}

    def held_against(self, theirs: np.ndarray, ours: np.ndarray, folder: Path) -> Deviation:
        """Compare scores (m,) of the pairs; UserError where theirs are not ours."""
        deviation = Deviation(
            len(self.run.query_ids),
            len(theirs),
            float(np.abs(theirs - ours).max(initial=0)),
            float(np.abs(theirs - self.scores).max(initial=0)),
            (self._rr(self.run), self._rr(rerank(self.run, self.run.depth, lambda *_: theirs))) if self.qrels else None,
        )
        allowed = TOLERANCE * max(1.0, float(np.abs(ours).max(initial=0)))
        if not deviation.ours <= allowed:
            raise UserError(
                f"{folder}: sentence-transformers gives scores that are up to {deviation.ours:.2g} from ours, and "
                f"{allowed:.2g} is allowed: try the releases in constraints.txt, or export without --check"
            )
        return deviation

    def _rr(self, run: Run) -> float:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            write_run(path, run, self.collection.passages.ids, "check")
            judged = {query: self.qrels[query] for query in run.query_ids}
            return float(evaluate(path, judged, [self.measure])[str(self.measure)].mean())


def check_retriever(
    source: Path, folder: Path, sample: Sample, query_length: int, passage_length: int, titles: Titles
) -> Deviation:
    """Score a sample with an exported retriever under sentence-transformers, and with ours in float32.

    Args:
        source, folder, query_length, passage_length, titles: As in `simlm.export.models.write_retriever`.
        sample: The questions and passages.

    Raises:
        UserError: The scores differ by more than ``TOLERANCE`` allows.
    """
    from sentence_transformers import SentenceTransformer  # here, for not everybody has it

    disable_progress_bar()  # of weights that load in a moment
    (queries, q), (passages, p) = (np.unique(one, return_inverse=True) for one in (sample.queries, sample.passages))
    model = SentenceTransformer(str(folder), device="cpu")
    given = model.encode([GIVEN[titles](sample.texts[i]) for i in passages.tolist()])
    model.max_seq_length = query_length
    asked = model.encode([sample.questions[i] for i in queries.tolist()])
    theirs = (asked[q] * given[p]).sum(axis=1)

    store, own = sample.collection.queries(sample.split), sample.collection.passages
    encoder = BiEncoder(load_body(source, sample.collection.tokenizer), temperature=1.0).eval()
    specials = Specials.of(sample.collection.tokenizer)
    encode = Inference(encoder.encode, Padded(specials), CPU)
    asked = _vectors(encode, [query_input(store.text(i), query_length, specials) for i in queries.tolist()])
    rows = [passage_input(own.title(i), own.text(i), passage_length, specials) for i in passages.tolist()]
    ours = (asked[q] * _vectors(encode, rows)[p]).sum(axis=1)
    return sample.held_against(theirs, ours, folder)


def _vectors(encode: Inference, rows: Sequence[Encoded]) -> np.ndarray:
    """Return the vectors (n, d) of texts, which go through the model by length."""
    batches = list(length_batches(np.array([len(ids) for ids, _ in rows]), encode.batch_tokens))
    found = [encode(encode.collate([rows[i] for i in places.tolist()])).numpy() for places in batches]
    return np.concatenate(found)[np.argsort(np.concatenate(batches))]


def check_reranker(source: Path, folder: Path, sample: Sample, max_length: int) -> Deviation:
    """Score a sample with an exported re-ranker under CrossEncoder, and with ours in float32.

    Args and errors are as in `check_retriever`, ``max_length`` as in `simlm.export.models.write_reranker`.
    """
    from sentence_transformers import CrossEncoder

    disable_progress_bar()
    texts = {i: given_to_reranker(passage) for i, passage in sample.texts.items()}
    pairs = zip(sample.queries.tolist(), sample.passages.tolist(), strict=True)
    theirs = CrossEncoder(str(folder), device="cpu").predict([(sample.questions[q], texts[p]) for q, p in pairs])

    inputs = Pairs(sample.collection, sample.split, max_length)
    model = Reranker(load_reranker(source, sample.collection.tokenizer)).eval()
    ours = PairScorer(Inference(model.score, Padded(inputs.specials), CPU), inputs)(sample.queries, sample.passages)
    return sample.held_against(theirs, ours, folder)
