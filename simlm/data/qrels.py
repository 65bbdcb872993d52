"""Relevance judgments as arrays of indices into the stores."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simlm.data.ids import IdTable
from simlm.errors import UserError

_FIELDS = ("query", "passage", "grade")


class Qrels:
    """Judgments as three int64 arrays (m,), sorted by query, then passage: indices of both, and the grade."""

    def __init__(
        self, query: npt.NDArray[np.int64], passage: npt.NDArray[np.int64], grade: npt.NDArray[np.int64]
    ) -> None:
        order = np.lexsort((passage, query))
        self.query = query[order]
        self.passage = passage[order]
        self.grade = grade[order]

    @classmethod
    def of(cls, judged: Mapping[str, Mapping[str, int]], queries: IdTable, passages: IdTable) -> "Qrels":
        """From {query id: {passage id: grade}}; UserError for an id that a table does not know."""
        pairs = [(query, passage, grade) for query, row in judged.items() for passage, grade in row.items()]
        try:
            query = queries.indices([pair[0] for pair in pairs])
        except KeyError as error:
            raise UserError(f"a qrel names the unknown query {error}: remove the qrel or add the query") from None
        try:
            passage = passages.indices([pair[1] for pair in pairs])
        except KeyError as error:
            raise UserError(f"a qrel names the unknown passage {error}: remove the qrel or add the passage") from None
        return cls(query, passage, np.array([pair[2] for pair in pairs], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.query)

    def positives(self, query_index: int) -> npt.NDArray[np.int64]:
        """The passages judged relevant (grade above 0) for a query, ascending; empty when there are none."""
        start, end = np.searchsorted(self.query, [query_index, query_index + 1])
        return self.passage[start:end][self.grade[start:end] > 0]

    def save(self, folder: Path) -> None:
        """Writes query.npy, passage.npy and grade.npy."""
        folder.mkdir(parents=True)
        for field in _FIELDS:
            np.save(folder / f"{field}.npy", getattr(self, field))

    @classmethod
    def open(cls, folder: Path) -> "Qrels":
        """Reads what `save` wrote; UserError when the files are missing or damaged."""
        try:
            return cls(*(np.load(folder / f"{field}.npy", allow_pickle=False) for field in _FIELDS))
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{folder} holds no whole qrels ({error}); tokenise the collection again") from None
