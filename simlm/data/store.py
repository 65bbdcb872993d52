"""A tokenised collection on disk, memory-mapped: passages, queries, qrels and tokenizer in one folder."""

import json
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlm.data.collection import Collection, Passage, statistics
from simlm.data.ids import IdTable
from simlm.data.own_passages import NONE, OwnPassages
from simlm.data.tokenizer import load_tokenizer, tokenizer_digest
from simlm.data.tokens import TokenStore, build_token_store
from simlm.errors import UserError
from simlm.files import atomic_folder, read_marker

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MARKER = "collection.json"
KIND = "simlm tokenised collection 1"
OWN = "own-passages"
"""The folder of the indices of queries' own passages, for the splits in which there are any."""
_FIELDS = ("query", "passage", "grade")


class Qrels:
    """Judgements as three int64 arrays (m,), sorted by query: indices of query and passage, and the grade.

    ``least`` is the smallest grade that counts as relevant (`simlm.data.collection.Collection.relevant_grade`).
    """

    def __init__(
        self,
        query: npt.NDArray[np.int64],
        passage: npt.NDArray[np.int64],
        grade: npt.NDArray[np.int64],
        least: int = 1,
    ) -> None:
        order = np.argsort(query, kind="stable")
        self.query = query[order]
        self.passage = passage[order]
        self.grade = grade[order]
        self.least = least

    @classmethod
    def of(
        cls, judged: Mapping[str, Mapping[str, int]], queries: IdTable, passages: IdTable, as_given: bool = False
    ) -> "Qrels":
        """Make them from {query id: {passage id: grade}}; UserError for an id that a table does not know.

        A query's judgements stand in the order of its passages' indices, or ``as_given``.
        """
        pairs = [(query, passage, grade) for query, row in judged.items() for passage, grade in row.items()]
        try:
            query = queries.indices([pair[0] for pair in pairs])
        except KeyError as error:
            raise UserError(f"a qrel names the unknown query {error}: remove the qrel or add the query") from None
        try:
            passage = passages.indices([pair[1] for pair in pairs])
        except KeyError as error:
            raise UserError(f"a qrel names the unknown passage {error}: remove the qrel or add the passage") from None
        grade = np.array([pair[2] for pair in pairs], dtype=np.int64)
        order = np.arange(len(pairs)) if as_given else np.argsort(passage, kind="stable")
        return cls(query[order], passage[order], grade[order])

    def __len__(self) -> int:
        return len(self.query)

    def positives(self, query_index: int) -> npt.NDArray[np.int64]:
        """Return the passages judged relevant to a query, in their order; empty when there are none."""
        start, end = np.searchsorted(self.query, [query_index, query_index + 1])
        return self.passage[start:end][self.grade[start:end] >= self.least]

    def save(self, folder: Path) -> None:
        """Write query.npy, passage.npy and grade.npy."""
        folder.mkdir(parents=True)
        for field in _FIELDS:
            np.save(folder / f"{field}.npy", getattr(self, field))

    @classmethod
    def open(cls, folder: Path, least: int) -> "Qrels":
        """Read what `save` wrote; ``least`` is not among it. UserError when the files are missing or damaged."""
        try:
            query, passage, grade = (np.load(folder / f"{field}.npy", allow_pickle=False) for field in _FIELDS)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{folder} holds no whole qrels ({error}); tokenise the collection again") from None
        return cls(query, passage, grade, least)


class TokenisedCollection:
    """What training, mining and encoding read: stores of pieces, judgements as indices, and the tokenizer.

    `meta` holds the collection's name, fingerprint and statistics and the tokenizer's digest, and ``relevant_from``
    where another grade than 1 is the smallest that counts as relevant.
    """

    def __init__(self, folder: Path) -> None:
        self.meta: dict[str, Any] = read_marker(folder, MARKER, KIND)
        self.folder = folder
        self.splits: tuple[str, ...] = tuple(self.meta["splits"])
        self._queries = cache(lambda split: TokenStore.open(self._of(split, "queries")))
        least: dict[str, int] = self.meta.get("relevant_from", {})
        self._qrels = cache(lambda split: Qrels.open(self._of(split, "qrels"), least.get(split, 1)))

    @classmethod
    def open(cls, folder: Path) -> "TokenisedCollection":
        """Open a folder that `tokenise_collection` wrote; UserError when it is none."""
        return cls(folder)

    def __reduce__(self) -> tuple[type["TokenisedCollection"], tuple[Path]]:
        # A spawned worker maps the files again instead of receiving their content.
        return TokenisedCollection, (self.folder,)

    @cached_property
    def passages(self) -> TokenStore:
        """The passages' pieces."""
        return TokenStore.open(self.folder / "passages")

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerFast":
        """The tokenizer whose pieces the stores hold."""
        return load_tokenizer(self.folder / "tokenizer")

    def queries(self, split: str) -> TokenStore:
        """Return the pieces of a split's queries; UserError for an unknown split."""
        return self._queries(split)

    def qrels(self, split: str) -> Qrels:
        """Return a split's judgements, as indices into its queries and the passages; UserError for no such split."""
        return self._qrels(split)

    def own_passages(self, split: str) -> npt.NDArray[np.int64] | None:
        """Return the index of each query's own passage (Q,), -1 for a query without; None if no query has one.

        `simlm.data.own_passages` says what that is. No ranking and no list of negatives may hold it.
        """
        path = self._of(split, OWN).with_name(f"{split}.npy")
        if not path.is_file():
            return None
        own: npt.NDArray[np.int64] = np.load(path, allow_pickle=False)
        return own

    def queries_in_corpus(self, split: str) -> frozenset[str]:
        """Return the ids of the queries that have an own passage, which has the same id."""
        own, ids = self.own_passages(split), self.queries(split).ids
        return frozenset() if own is None else frozenset(ids[place] for place in np.flatnonzero(own != NONE).tolist())

    def _of(self, split: str, kind: str) -> Path:
        if split not in self.splits:
            raise UserError(f"{self.folder} has no split {split!r}: choose one of {', '.join(self.splits)}")
        return self.folder / kind / split


def tokenise_collection(
    collection: Collection,
    tokenizer: "PreTrainedTokenizerFast",
    folder: Path,
    segments: bool = True,
    keep_own: bool = False,
    qrels_order: bool = False,
) -> TokenisedCollection:
    """Tokenise passages and every split's queries into ``folder``, with judgements, statistics and tokenizer.

    Without ``segments`` a title is no part of its own, but the first words of its passage's text, so that every token
    is of type 0. With ``keep_own`` queries' own passages are not noted. A query's judgements stand in the order of the
    passages, or with ``qrels_order`` in that of the qrels. Rows are streamed (see `build_token_store`), and the folder
    is there only when it is whole. The collection is not checked (`simlm.data.checks.validate`), but for ids: UserError
    for one that comes twice, or that a qrel names and nobody has.
    """
    known = statistics(collection)
    own = OwnPassages(collection)
    with atomic_folder(folder, MARKER) as partial:
        passages = build_token_store(
            own.watch(collection.passages()) if segments else map(_in_one, own.watch(collection.passages())),
            tokenizer,
            partial / "passages",
            collection.has_titles and segments,
            total=known["passages"],
        )
        for split in collection.splits:
            rows = ((query.id, "", query.text) for query in collection.queries(split))
            queries = build_token_store(rows, tokenizer, partial / "queries" / split, has_titles=False)
            qrels = Qrels.of(collection.qrels(split), queries.ids, passages.ids, qrels_order)
            qrels.save(partial / "qrels" / split)
            found = None if keep_own else own.of(split, queries.ids)
            if found is not None:
                (partial / OWN).mkdir(exist_ok=True)
                np.save(partial / OWN / f"{split}.npy", found)
        tokenizer.save_pretrained(partial / "tokenizer")
        meta = {
            "format": KIND,
            "name": collection.lasting_name,
            "splits": list(collection.splits),
            "fingerprint": collection.fingerprint(),
            "tokenizer": tokenizer_digest(tokenizer),
            "statistics": known,
        }
        if collection.relevant_from:
            meta["relevant_from"] = dict(collection.relevant_from)
        (partial / MARKER).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return TokenisedCollection.open(folder)


def _in_one(passage: Passage) -> Passage:
    return Passage(passage.id, "", f"{passage.title} {passage.text}" if passage.title else passage.text)
