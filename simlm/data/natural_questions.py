"""Natural Questions over DPR's Wikipedia in passages of 100 words.

Train and valid are ir_datasets' dpr-w100 natural-questions train and dev, with answers and BM25's hard negatives. Test,
in a file of its own (`simlm.data.dpr_questions`), has answers instead of qrels.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from simlm.data.catalogue import NQ
from simlm.data.collection import Collection
from simlm.data.dpr_questions import NO_FILE, read_questions
from simlm.data.irds import Docs, GenericQuery, GenericScoredDoc, Qrels, Queries, ScoredDocs, TitledDoc, ir_datasets
from simlm.data.irds_collection import docs_of, fetched, split_of
from simlm.data.readers import digest_of
from simlm.errors import UserError

PASSAGES = "dpr-w100"
IDS = {"train": f"{PASSAGES}/natural-questions/train", "valid": f"{PASSAGES}/natural-questions/dev"}
QUOTED = re.compile(r'"(?:[^"]|"")*"', re.DOTALL)


def collection(name: str, location: str, digest: str) -> Collection:
    """Open the collection; ``location`` and ``digest`` are of the file with the test questions.

    Raises:
        UserError: There is no such file, it has another digest, or the collection cannot be fetched.
    """
    questions = _checked(location, digest)
    read = docs_of(name, ir_datasets.load(PASSAGES))

    def rows() -> Iterator[Any]:
        return (TitledDoc(doc.doc_id, _unquoted(doc.title), _unquoted(doc.text)) for doc in read.docs_iter())

    docs = Docs(rows, TitledDoc, "en")
    test = Queries(lambda: (GenericQuery(row.id, row.text) for row in read_questions(questions)), GenericQuery, "en")
    datasets = {split: _split(name, docs, ir_datasets.load(id)) for split, id in IDS.items()}
    return Collection(
        name,
        ir_datasets.Dataset(docs),
        datasets | {"test": ir_datasets.Dataset(docs, test, Qrels(lambda: iter(())))},
        description=NQ.description,
        origin=f"ir_datasets {ir_datasets.__version__}; test questions: {questions.name}",
        registered=IDS | {"test": questions.name},
        answers={split: partial(_answers, name, ir_datasets.load(id)) for split, id in IDS.items()}
        | {"test": lambda: ((row.id, row.answers) for row in read_questions(questions))},
    )


def _checked(location: str, digest: str) -> Path:
    if not location:
        raise UserError(NO_FILE)
    path = Path(location)
    if digest and digest_of(path) != digest:
        raise UserError(f"{path}: the file changed since this command began; run it again")
    return path


def _split(name: str, docs: Docs, dataset: Any) -> Any:
    """Return a split of DPR's: grades 1 and 2 are relevant, 0 is BM25's hard negative, -1 another question's."""
    split = split_of(name, docs, dataset, relevant=lambda qrel: qrel.relevance > 0)

    def negatives() -> Iterator[Any]:
        rows = (qrel for qrel in dataset.qrels_iter() if qrel.relevance == 0)
        return fetched(name, lambda: (GenericScoredDoc(row.query_id, row.doc_id, 0.0) for row in rows))

    return ir_datasets.Dataset(split, ScoredDocs(negatives))


def _answers(name: str, dataset: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the answers of a split of DPR's, with the queries' ids."""
    rows = fetched(name, lambda: ((row.query_id, row.answers) for row in dataset.queries_iter()))
    return ((id, list(answers)) for id, answers in rows)


def _unquoted(text: str) -> str:
    """Take the quotation marks off a field of DPR's file, which csv put around it and ir_datasets leaves there."""
    return text[1:-1].replace('""', '"') if QUOTED.fullmatch(text) else text
