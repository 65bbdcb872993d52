"""The re-ranker's logits for the pairs that distillation will draw, on disk and looked up by pair."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simlm.errors import UserError
from simlm.finetuning.negatives import Indices, open_array

_FILES = ("query", "passage", "score")


@dataclass(frozen=True, eq=False)
class TeacherScores:
    """A memory-mapped table of (query, passage) -> raw logit, strictly increasing by (query, passage).

    query, passage: int64 (m); score: float32 (m); folder: where they are mapped from.
    """

    query: Indices
    passage: Indices
    score: npt.NDArray[np.float32]
    folder: Path

    def __reduce__(self) -> tuple[Any, ...]:
        # A spawned worker maps the files again instead of receiving their content.
        return TeacherScores.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.query)

    @classmethod
    def open(cls, folder: Path) -> "TeacherScores":
        """Map the table that `write_teacher_scores` left in a folder; UserError when there is none."""
        arrays = {name: open_array(folder / f"{name}.npy", "teacher scores") for name in _FILES}
        return cls(**arrays, folder=folder)

    def of(self, query: int) -> tuple[Indices, npt.NDArray[np.float32]]:
        """Return the passages (n), ascending, that have a score for a query, and their logits (n)."""
        start, stop = np.searchsorted(self.query, [query, query + 1])
        return np.asarray(self.passage[start:stop]), np.asarray(self.score[start:stop])

    def lookup(self, query: int, passages: Indices) -> npt.NDArray[np.float32]:
        """Return the logits (n) of one query's passages (n), which may repeat.

        Raises UserError that names the first pair without a score.
        """
        known, scores = self.of(query)
        places = np.searchsorted(known, passages)
        found = np.zeros(len(passages), dtype=bool)
        inside = places < len(known)
        found[inside] = known[places[inside]] == passages[inside]
        if not found.all():
            missing = int(np.asarray(passages)[~found][0])
            raise UserError(
                f"no teacher score for query number {query} and passage number {missing}: "
                "score the pairs that these epochs, this seed and this group size draw"
            )
        return np.asarray(scores[places])


def write_teacher_scores(
    folder: Path, size: int, blocks: Iterable[tuple[Indices, Indices, npt.NDArray[np.float32]]]
) -> TeacherScores:
    """Stream blocks (query, passage, score) of `size` pairs in all into a folder and open the table.

    The blocks together have to be strictly increasing by (query, passage), as `NegativeLists.drawn` gives
    them, and every score finite; ValueError otherwise, or when they are not `size` pairs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    types = (np.int64, np.int64, np.float32)
    maps = [
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=(size,))
        for name, kind in zip(_FILES, types, strict=True)
    ]
    filled, last = 0, (-1, -1)
    for query, passage, score in blocks:
        if not len(query):
            continue
        queries, passages = np.r_[last[0], query], np.r_[last[1], passage]
        steps, inner = np.diff(queries), np.diff(passages)
        if not ((steps > 0) | ((steps == 0) & (inner > 0))).all() or not np.isfinite(score).all():
            raise ValueError("teacher scores must be finite and their pairs strictly increasing")
        if filled + len(query) > size:
            raise ValueError(f"more than the {size} pairs of teacher scores that were announced")
        for target, column in zip(maps, (query, passage, score), strict=True):
            target[filled : filled + len(query)] = column
        filled, last = filled + len(query), (int(query[-1]), int(passage[-1]))
    if filled != size:
        raise ValueError(f"{filled} teacher scores instead of the {size} that were announced")
    for target in maps:
        target.flush()
    return TeacherScores.open(folder)
