"""The paper's own collections by name: `msmarco`, `msmarco-titleless` and `nq`.

`msmarco` is SimLM's corpus, with titles, from the archive released with it (`simlm.data.released`): fetched from the
Hub, kept in its cache, an interrupted download going on where it ended.

`msmarco-titleless` is ir_datasets' msmarco-passage, which has no titles and whose text encoding is repaired: a variant,
with the same valid queries and the same test splits.

`nq` is DPR's Wikipedia in passages of 100 words with Natural Questions: train and valid are ir_datasets' dpr-w100
natural-questions train and dev, with answers and BM25's hard negatives; test, in a file of its own
(`simlm.data.questions`), has answers instead of qrels.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from simlm.data.downloads import ARCHIVES, FOLDERS, REVISION
from simlm.data.handlers import (
    GenericQuery,
    GenericScoredDoc,
    Qrels,
    ScoredDocs,
    StreamedDocs,
    StreamedQueries,
    TitledDoc,
)
from simlm.data.irds import ir_datasets
from simlm.data.own import in_layout
from simlm.data.public import docs_of, fetched, split_of
from simlm.data.questions import checked, read_questions
from simlm.data.released import ARCHIVE, SET_ASIDE, TREC_DL, Released, set_aside
from simlm.data.source import Collection
from simlm.errors import UserError

MSMARCO, NQ = FOLDERS["msmarco-titleless"], FOLDERS["nq"]
QUOTED = re.compile(r'"(?:[^"]|"")*"', re.DOTALL)


def official_collection(name: str, location: str = "", digest: str = "") -> Collection:
    """The collection of that name; UserError where its files cannot be fetched.

    ``location`` and ``digest`` are of the file with `nq`'s test questions.
    """
    made: dict[str, Callable[[], Collection]] = {
        "msmarco": _msmarco,
        "msmarco-titleless": _titleless,
        "nq": lambda: _nq(location, digest),
    }
    return made[name]()


def archive_folder() -> Path:
    """The folder of the released archive in the Hub's cache, fetched where it is not there whole."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(ARCHIVES, f"{ARCHIVE}.zip", repo_type="dataset", revision=REVISION)).parent
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"msmarco: {ARCHIVE}.zip is not to be had from the Hub's data set {ARCHIVES} ({reason}); check the "
            "network, or give a folder with it as --collection"
        ) from None


def _msmarco() -> Collection:
    layout = Released(archive_folder())
    lacking = [split for split in TREC_DL if split not in layout.splits]
    if lacking:
        raise UserError(f"{layout.folder}: {ARCHIVE}.zip has no queries of {lacking[0]}; it is not what was released")
    return in_layout(layout, "simlm-msmarco", "msmarco")


def _titleless() -> Collection:
    name = "msmarco-titleless"
    docs = docs_of(name, ir_datasets.load(MSMARCO))
    ids = {split: f"{MSMARCO}/train/judged" for split in ("train", "valid")} | {"test": f"{MSMARCO}/dev/small"}
    ids |= {split: f"{MSMARCO}/{split}/judged" for split in TREC_DL}
    kept: dict[str, Callable[[str], bool]] = {"train": lambda query: not set_aside(query), "valid": set_aside}
    return Collection(
        name,
        ir_datasets.Dataset(docs),
        {split: split_of(name, docs, ir_datasets.load(id), kept.get(split)) for split, id in ids.items()},
        description=(
            "MS MARCO passages without titles, as ir_datasets has them, and so another corpus than SimLM's. Test is MS "
            f"MARCO's dev; valid is one in {SET_ASIDE} of the training queries, which are set aside."
        ),
        origin=f"ir_datasets {ir_datasets.__version__}",
        registered=ids,
    )


def _nq(location: str, digest: str) -> Collection:
    name = "nq"
    read = docs_of(name, ir_datasets.load(NQ))

    def rows() -> Iterator[Any]:
        return (TitledDoc(doc.doc_id, _unquoted(doc.title), _unquoted(doc.text)) for doc in read.docs_iter())

    docs = StreamedDocs(rows, TitledDoc, "en")
    ids = {"train": f"{NQ}/natural-questions/train", "valid": f"{NQ}/natural-questions/dev"}
    questions = checked(location, digest)
    asked = StreamedQueries(
        lambda: (GenericQuery(row.id, row.text) for row in read_questions(questions)), GenericQuery, "en"
    )
    splits = {split: _judged(name, docs, ir_datasets.load(id)) for split, id in ids.items()}
    return Collection(
        name,
        ir_datasets.Dataset(docs),
        splits | {"test": ir_datasets.Dataset(docs, asked, Qrels(lambda: iter(())))},
        has_titles=lambda: True,
        description=(
            "Natural Questions over DPR's Wikipedia in passages of 100 words. Valid is DPR's dev; test has answers and "
            "no judgements."
        ),
        origin=f"ir_datasets {ir_datasets.__version__}; test questions: {questions.name}",
        registered=ids | {"test": questions.name},
        answers={split: partial(_answers, name, ir_datasets.load(id)) for split, id in ids.items()}
        | {"test": lambda: ((row.id, row.answers) for row in read_questions(questions))},
    )


def _judged(name: str, docs: Any, dataset: Any) -> Any:
    """A split of DPR's: grades 1 and 2 are relevant, 0 is a hard negative of BM25's, -1 is another question's."""
    split = split_of(name, docs, dataset, relevant=lambda qrel: qrel.relevance > 0)

    def negatives() -> Iterator[Any]:
        rows = (qrel for qrel in dataset.qrels_iter() if qrel.relevance == 0)
        return fetched(name, lambda: (GenericScoredDoc(row.query_id, row.doc_id, 0.0) for row in rows))

    return ir_datasets.Dataset(split, ScoredDocs(negatives))


def _answers(name: str, dataset: Any) -> Iterator[tuple[str, list[str]]]:
    """The answers of a split of DPR's, by the queries' ids."""
    rows = fetched(name, lambda: ((row.query_id, row.answers) for row in dataset.queries_iter()))
    return ((id, list(answers)) for id, answers in rows)


def _unquoted(text: str) -> str:
    """A field of DPR's file without the quotation marks that csv put around it, which ir_datasets leaves there."""
    return text[1:-1].replace('""', '"') if QUOTED.fullmatch(text) else text
