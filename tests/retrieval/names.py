"""A table of ids for tests, small enough for a list."""

from collections.abc import Sequence

import numpy as np


class Names:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)

    def __getitem__(self, index: int, /) -> str:
        return self._names[index]

    def indices(self, ids: Sequence[str], /) -> np.ndarray:
        places = {name: place for place, name in enumerate(self._names)}
        return np.array([places[name] for name in ids], dtype=np.int64)
