"""A collection's pieces as a published system reads them: its prompt, and how title and text are joined."""

from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.system import Title
from simlm.data.inputs import Specials
from simlm.data.tokens import TokenStore

Ids = npt.NDArray[np.int32]


class Texts(TokenStore):
    """A view of a store of titles and texts, or of queries, that changes nothing on disk.

    ``prompt`` (m,) are pieces that stand before every title, or before every text where there is none.
    """

    def __init__(self, store: TokenStore, title: Title, prompt: Ids, specials: Specials) -> None:
        super().__init__(store.folder)
        self._store, self._form, self._prompt, self._specials = store, title, prompt, specials
        self.has_titles = store.has_titles and title == "pair"
        lengths = store.lengths
        if store.has_titles and title == "none":
            lengths = np.diff(self._bounds)[1::2].astype(np.int32)
        added = len(prompt) + (store.has_titles and title == "separated")
        self.lengths = lengths + np.int32(added) if added else lengths

    def __reduce__(self) -> tuple[Any, ...]:
        return Texts, (self._store, self._form, self._prompt, self._specials)

    def title(self, index: int) -> Ids | None:
        """The pieces of a title, of a pair; None where title and text are one part."""
        found = self._store.title(index) if self.has_titles else None
        return None if found is None else np.concatenate([self._prompt, found])

    def text(self, index: int) -> Ids:
        """The pieces of a text, its title included where they are one part."""
        text = self._store.text(index)
        if self.has_titles:
            return text
        title = None if self._form == "none" else self._store.title(index)
        if title is None:
            return np.concatenate([self._prompt, text])
        between = [self._specials.sep] if self._form == "separated" else []
        return np.concatenate([self._prompt, title, np.array(between, dtype=np.int32), text])
