"""The collection, tokenised: what every other stage reads."""

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experimaestro import Meta, Param, field

from simlm.data.catalogue import IRDS, fetched, find
from simlm.data.checks import validate
from simlm.data.collection import Collection
from simlm.data.own_passages import may_have_own
from simlm.data.part import Part
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.data.tokenizer import load_tokenizer
from simlm.models.public import revision_of
from simlm.stages.libraries import LIBRARIES
from simlm.workflow.manifest import read_manifest
from simlm.workflow.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


OWN = "queries that are passages"
"""The number of them in each split that has any, among a manifest's numbers."""
WHOLE = "whole"
"""The sizes of the collection that a part was taken of, likewise."""
TOKENISING = "tokenising_seconds"
"""Seconds that a part took to tokenise, without those to find it in the whole; likewise."""


class Prepare(Stage):
    """Validate a collection, train or load a tokenizer, and tokenise passages and queries once.

    ``vocabulary`` is the number of pieces to train on the corpus, by the ``algorithm`` "wordpiece" or "byte-level-bpe";
    ``tokenizer`` the Hub name or folder of an existing tokenizer, or "" to train one. Without ``segments`` titles are
    joined to their texts. With ``keep_own`` a query that is a passage itself may find that passage.
    With ``qrels_order`` a query's positives are trained on in the order of the qrels, as in the released
    implementation, not of the passages. A part of a collection takes the tokenizer of the ``whole``: a model that is
    trained on one part must know the other part's pieces (Table 10).

    With ``part``, in a rehearsal, it is a part of the collection with so many passages beside those that are judged
    (`simlm.data.part`).

    Of a collection in files (`simlm.data.lookup.Reference`) the ``digest`` of the files counts in the identity; their
    ``location``, which may change, does not; nor does the ``tokenizer_location``, the folder of a named tokenizer.
    """

    imports = LIBRARIES

    collection: Param[str]
    vocabulary: Param[int]
    tokenizer: Param[str]
    algorithm: Param[str] = field(default="wordpiece", ignore_default=True)
    segments: Param[bool] = field(default=True, ignore_default=True)
    keep_own: Param[bool] = field(default=False, ignore_default=True)
    qrels_order: Param[bool] = field(default=False, ignore_default=True)
    whole: Param["Prepare | None"] = field(default=None)
    digest: Param[str] = field(default="", ignore_default=True)
    part: Param[int] = field(default=0, ignore_default=True)
    location: Meta[str] = field(default="")
    tokenizer_location: Meta[str] = field(default="")

    def run(self) -> dict[str, Any]:
        collection = self.source()
        validate(collection)
        begun = time.monotonic()  # a part has read the whole by now
        tokenizer = self.tokenizer_for(collection)
        form = self.segments, self.keep_own, self.qrels_order
        store = tokenise_collection(collection, tokenizer, self.folder / "store", *form)
        own = {split: count for split in store.splits if (count := len(store.queries_in_corpus(split)))}
        sizes = {"passages": len(store.passages), "vocabulary": len(tokenizer)}
        whole: dict[str, Any] = {}
        if isinstance(collection, Part):
            whole = {WHOLE: collection.counted(), TOKENISING: time.monotonic() - begun}
        return sizes | store.meta["statistics"] | {OWN: own, "name": collection.name} | whole

    def tokenizer_for(self, collection: Collection) -> "PreTrainedTokenizerFast":
        """Return the tokenizer whose pieces are kept: the whole's, an existing one, or one trained on the corpus."""
        from simlm.data.tokenizer_training import train_byte_level_bpe, train_wordpiece  # imports transformers

        if self.whole is not None:
            return self.whole.open().tokenizer
        if self.tokenizer:
            return load_tokenizer(self.tokenizer_location or self.tokenizer, revision_of(self.tokenizer))
        texts = (f"{passage.title} {passage.text}" for passage in collection.passages())
        train = {"wordpiece": train_wordpiece, "byte-level-bpe": train_byte_level_bpe}[self.algorithm]
        return train(texts, self.vocabulary, self.work / "tokenizer")

    def outdated(self, job: Path) -> str | None:
        """Tell why the stored collection no longer fits, or None: a package may bring another one under the same name.

        Files count in the identity by their digest; what is fetched, for which its name stands, is not read at each
        start.
        """
        if not self.keep_own and find(self.collection) is None and _lacks_own(job):
            return "some queries are passages themselves, which an older version did not leave out"
        if self.collection.startswith(IRDS) and stored(job).get("relevant_from", {}) != self.source().relevant_from:
            return "it was prepared when other grades counted as relevant"
        if self.digest or fetched(self.collection) or self.collection.startswith(IRDS):
            return None
        if stored(job)["fingerprint"] == installed_fingerprint(self.collection, self.part):
            return None
        return f"the installed collection {self.collection} is another one than was tokenised"

    def open(self) -> TokenisedCollection:
        """Open the tokenised collection."""
        return TokenisedCollection.open(self.folder / "store")

    def source(self) -> Collection:
        """Open the collection itself, for its texts."""
        return opened(self.collection, self.location, self.digest, self.part)


def stored(job: Path) -> dict[str, Any]:
    """Return what a finished stage's store says of its collection: name, fingerprint, ...; UserError for no store."""
    return TokenisedCollection.open(job / "output" / "store").meta


def _lacks_own(job: Path) -> bool:
    """Tell whether queries' own passages were not looked for, and there seem to be some."""
    if OWN in (read_manifest(job) or {}).get("numbers", {}):
        return False
    store = TokenisedCollection.open(job / "output" / "store")
    return any(may_have_own(store.passages, store.queries(split)) for split in store.splits)


def opened(name: str, location: str = "", digest: str = "", part: int = 0) -> Collection:
    """Open a collection, or a part of it with so many passages beside those that are judged."""
    from simlm.data.opening import open_collection  # imports ir_datasets, which makes folders below HOME

    whole = open_collection(name, location, digest)
    return Part(whole, part) if part else whole


@cache
def installed_fingerprint(name: str, part: int = 0) -> str:
    """Return the fingerprint of a collection, or of a part of it, as it is now, read once a process."""
    return opened(name, part=part).fingerprint()
