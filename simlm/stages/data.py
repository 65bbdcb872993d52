"""The collection, tokenised: what every other stage reads."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimaestro import Meta, Param, field

from simlm.data.catalogue import IRDS, fetched
from simlm.data.checks import validate
from simlm.data.collection import Collection
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.data.tokenizer import load_tokenizer
from simlm.models.public import revision_of
from simlm.stages.libraries import LIBRARIES
from simlm.workflow.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Prepare(Stage):
    """Validate a collection, train or load a tokenizer, and tokenise passages and queries once.

    ``vocabulary`` is the number of pieces to train on the corpus, by the ``algorithm`` "wordpiece" or "byte-level-bpe";
    ``tokenizer`` the Hub name or folder of an existing tokenizer, or "" to train one. Without ``segments`` titles are
    joined to their texts. A part of a collection takes the tokenizer of the ``whole``: a model that is trained on one
    part must know the other part's pieces (Table 10).

    Of a collection in files (`simlm.data.lookup.Reference`) the ``digest`` of the files counts in the identity; their
    ``location``, which may change, does not.
    """

    imports = LIBRARIES

    collection: Param[str]
    vocabulary: Param[int]
    tokenizer: Param[str]
    algorithm: Param[str] = field(default="wordpiece", ignore_default=True)
    segments: Param[bool] = field(default=True, ignore_default=True)
    whole: Param["Prepare | None"] = field(default=None)
    digest: Param[str] = field(default="", ignore_default=True)
    location: Meta[str] = field(default="")

    def run(self) -> dict[str, Any]:
        collection = self.source()
        validate(collection)
        tokenizer = self.tokenizer_for(collection)
        store = tokenise_collection(collection, tokenizer, self.folder / "store", self.segments)
        return {"passages": len(store.passages), "vocabulary": len(tokenizer)} | store.meta["statistics"]

    def tokenizer_for(self, collection: Collection) -> "PreTrainedTokenizerFast":
        """Return the tokenizer whose pieces are kept: the whole's, an existing one, or one trained on the corpus."""
        from simlm.data.tokenizer_training import train_byte_level_bpe, train_wordpiece  # imports transformers

        if self.whole is not None:
            return self.whole.open().tokenizer
        if self.tokenizer:
            return load_tokenizer(self.tokenizer, revision_of(self.tokenizer))
        texts = (f"{passage.title} {passage.text}" for passage in collection.passages())
        train = {"wordpiece": train_wordpiece, "byte-level-bpe": train_byte_level_bpe}[self.algorithm]
        return train(texts, self.vocabulary, self.work / "tokenizer")

    def outdated(self, job: Path) -> str | None:
        """Tell why the stored collection no longer fits, or None: a package may bring another one under the same name.

        Files count in the identity by their digest; what is fetched, for which its name stands, is not read at each
        start.
        """
        if self.digest or fetched(self.collection) or self.collection.startswith(IRDS):
            return None
        if stored(job)["fingerprint"] == installed_fingerprint(self.collection):
            return None
        return f"the installed collection {self.collection} is another one than was tokenised"

    def open(self) -> TokenisedCollection:
        """Open the tokenised collection."""
        return TokenisedCollection.open(self.folder / "store")

    def source(self) -> Collection:
        """Open the collection itself, for its texts."""
        from simlm.data.opening import open_collection  # imports ir_datasets, which makes folders below HOME

        return open_collection(self.collection, self.location, self.digest)


def stored(job: Path) -> dict[str, Any]:
    """Return what a finished stage's store says of its collection: name, fingerprint, ...; UserError for no store."""
    return TokenisedCollection.open(job / "output" / "store").meta


@cache
def installed_fingerprint(name: str) -> str:
    """Return the fingerprint of a collection as it is now, read once a process."""
    from simlm.data.opening import open_collection  # imports ir_datasets, which makes folders below HOME

    return open_collection(name).fingerprint()
