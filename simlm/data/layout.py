"""What a collection in files is to the rest of the code, whatever the layout of its files."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

PassageRow = tuple[str, str, str]
"""Id, title ("" for none) and text."""
QueryRow = tuple[str, str]
"""Id and text."""
Judgement = tuple[str, str, int]
"""Query id, passage id and grade."""
Negatives = Callable[[str], Iterator[tuple[str, Sequence[str]]]]
"""The hard negatives that come with a split: query id and passage ids."""

SPLITS = ("train", "valid", "test")
"""What every collection has; further splits are test splits too, on which nothing is trained or tuned."""


class Layout(Protocol):
    """Rows in the order of the files, read anew at every use and never kept.

    The ``place_of_...`` say in which file and line a row stands; they may read the files once more, as they are asked
    only where something is wrong. ``digest`` is the same for the same bytes, wherever they lie; ``count`` is the number
    of passages, None where only unpacking them would tell.
    """

    folder: Path
    name: str
    description: str
    source: str
    splits: tuple[str, ...]

    @property
    def negatives(self) -> Negatives | None: ...
    def digest(self) -> str: ...
    def count(self) -> int | None: ...
    def passages(self) -> Iterator[PassageRow]: ...
    def has_titles(self) -> bool: ...
    def queries(self, split: str) -> Iterator[QueryRow]: ...
    def qrels(self, split: str) -> Iterator[Judgement]: ...
    def place_of_passage(self, number: int) -> str: ...
    def place_of_query(self, split: str, number: int) -> str: ...
    def place_of_judgement(self, split: str, query: str, passage: str | None = None) -> str: ...
