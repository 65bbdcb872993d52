"""The record of a published retrieval system: where its weights are, how it reads texts, what is printed of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simlm.costs.model import Model
from simlm.models.public import MAIN, Pin

Kind = Literal["dense", "reranker", "multivector", "sparse", "start"]
"""A start is a pre-trained encoder, which a row fine-tunes as Retriever1."""
Title = Literal["pair", "separated", "joined", "none"]

HUB = "https://huggingface.co/"


@dataclass(frozen=True)
class System:
    """A published system: where its weights are, and how it reads queries and passages.

    Lengths are tokens with special ones. A passage's title and text become, by ``title``,

        pair       [CLS] title [SEP] text [SEP], the longer part cut first
        separated  the same tokens as one part: what is too long is cut at its end
        joined     [CLS] title text [SEP]
        none       [CLS] text [SEP]

    in all of which a passage without a title has an empty one. Prompts stand before the query, and before the title.
    """

    key: str
    label: str
    kind: Kind
    source: str
    """The paper that the checkpoint belongs to."""
    checkpoint: str = ""
    """The Hub's repository, or the name of Pyserini's prebuilt index; "" where no such is known (``lacking``)."""
    query_checkpoint: str = ""
    """The repository of the query encoder, where it is another than the passages'."""
    pin: Pin = Pin(MAIN, "")
    """The commit of ``checkpoint`` that is fetched, and its source; the branch main where no commit is known."""
    query_pin: Pin = Pin(MAIN, "")
    """The same of ``query_checkpoint``."""
    model: Model | None = None
    """Its sizes where they are not BERT-base's, for estimates before it is fetched."""
    pooling: Literal["cls", "mean"] = "cls"
    head: tuple[str, ...] = ()
    """Modules that the pooled vector goes through, by their names among the weights: a linear map, a layer norm."""
    similarity: Literal["dot", "cos"] = "dot"
    query_prompt: str = ""
    passage_prompt: str = ""
    query_length: int = 32
    passage_length: int = 144
    title: Title = "pair"
    lower_case: bool = False
    """Whether texts are lower-cased before a tokenizer that keeps case."""
    token_types: bool = False
    """Whether the text of a pair has token type 1; without, all have 0."""
    k1: float = 0.9
    b: float = 0.4
    """BM25's parameters, of a sparse system."""
    named: Mapping[str, str] = field(default_factory=dict)
    """What each table of the paper calls it: where the figures beside it are printed (`repro.published`)."""
    printed: Mapping[str, float] = field(default_factory=dict)
    """What its authors' README prints for this checkpoint, in percent by the columns' keys, in place of the paper's."""
    lacking: str = ""
    """Why there is nothing to measure, "" where there is."""
    note: str = ""
    """What a reader should know of the declaration: where it comes from, and what of it could not be verified."""

    @property
    def revisions(self) -> dict[str, str]:
        """The repositories that have to be there to measure it, with what is fetched of each."""
        both = {self.checkpoint: self.pin.commit, self.query_checkpoint: self.query_pin.commit}
        return {name: revision for name, revision in both.items() if name}

    @property
    def link(self) -> str:
        """Where its checkpoint is, "" where none is on the Hub."""
        return HUB + self.checkpoint if "/" in self.checkpoint else ""
