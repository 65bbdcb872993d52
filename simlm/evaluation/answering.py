"""Which places of a run hold a passage that contains an answer of its question, told by one reading of the corpus."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simlm.evaluation.answers import spaced
from simlm.progress import Bar

if TYPE_CHECKING:
    from simlm.data.collection import Passage


def answering(
    indices: npt.NDArray[np.int64], answers: Sequence[Sequence[str]], passages: "Iterable[Passage]"
) -> npt.NDArray[np.bool_]:
    """(Q, k) passage indices, negative where a place is empty -> bool (Q, k).

    answers: those of each of the Q questions. passages: the whole collection, in the order of the indices; it is read
    once, a passage at a time, and each retrieved one is cut into tokens once. Beside that only places are held.
    """
    wanted = [[spaced(answer) for answer in row] for row in answers]
    rows, columns = np.nonzero(indices >= 0)
    order = np.argsort(indices[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    asked, starts = np.unique(indices[rows, columns], return_index=True)
    ends = np.append(starts[1:], len(rows))
    found = np.zeros(indices.shape, dtype=bool)
    place = 0
    for number, passage in enumerate(Bar(passages, desc="answers", unit=" passages")):
        if place < len(asked) and asked[place] == number:
            text = spaced(passage.text)
            for at in range(starts[place], ends[place]):
                found[rows[at], columns[at]] = any(answer in text for answer in wanted[rows[at]])
            place += 1
    return found
