"""Published systems as stages: the collection in a system's own pieces, encoded and searched as declared."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from experimaestro import Meta, Param, field

from simlm.costs.work import Work, search_work, work_rule
from simlm.errors import UserError
from simlm.stages.data import Prepare
from simlm.stages.models import PublicModel
from simlm.stages.runs import RunStage
from simlm.workflow.resources import chosen_device, faiss_chosen

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from simlm.data.collection import Collection


class PrepareFor(Prepare):
    """The collection in the pieces of the tokenizer that comes with a published model.

    With ``lower_case`` they are those of its texts in lower case, whatever the tokenizer does.
    """

    model: Param[PublicModel]
    lower_case: Param[bool] = field(default=False, ignore_default=True)

    def tokenizer_for(self, collection: "Collection") -> "PreTrainedTokenizerFast":
        from tokenizers.normalizers import Lowercase, Sequence

        from simlm.data.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(self.model.model)
        if self.lower_case:
            own = tokenizer.backend_tokenizer.normalizer
            tokenizer.backend_tokenizer.normalizer = Sequence([Lowercase(), *([own] if own else [])])
        return tokenizer


class SearchReleased(RunStage):
    """Runs of a published dual encoder, by exact search; the parameters are a `baselines.system.System`'s.

    ``data`` is the collection in the pieces of the passages' encoder, which have to be the queries' too.
    """

    shared = True

    passages: Param[PublicModel]
    queries: Param[PublicModel]
    pooling: Param[str]
    head: Param[list[str]]
    similarity: Param[str]
    query_prompt: Param[str]
    passage_prompt: Param[str]
    query_length: Param[int]
    passage_length: Param[int]
    title: Param[str]
    token_types: Param[bool]
    splits: Param[list[str]]
    depth: Param[int]

    tag = "released"

    def run(self) -> dict[str, Any]:
        from baselines.texts import Texts
        from simlm.data.inputs import Specials
        from simlm.data.tokens import TokenStore
        from simlm.distributed import own_device
        from simlm.packed.layouts import Inference
        from simlm.packed.texts import Padded
        from simlm.retrieval.dense import EncoderSide, search_splits

        device = own_device(chosen_device())
        specials = Specials.of(self.data.open().tokenizer)
        encoder = self._encoder(self.passages).to(device)
        asker = encoder if self.queries is self.passages else self._encoder(self.queries).to(device)
        self._check_lengths(encoder, asker)
        title: Any = self.title
        passage_prompt, query_prompt = self._pieces(self.passage_prompt), self._pieces(self.query_prompt)

        def passages(store: TokenStore) -> Texts:
            return Texts(store, title, passage_prompt, specials)

        def queries(store: TokenStore) -> Texts:
            return Texts(store, "none", query_prompt, specials)

        layout = Padded(specials)
        return search_splits(
            self.data.open(),
            EncoderSide(Inference(encoder, layout, device), self.passage_length, specials, passages),
            EncoderSide(Inference(asker, layout, device), self.query_length, specials, queries),
            dict.fromkeys(self.splits, self.depth),
            self.splits[-1],
            faiss_chosen(),
            self.work,
            self.folder,
            self.leave,
        )

    def _encoder(self, stage: PublicModel) -> Any:
        from baselines.encoder import load_encoder
        from simlm.data.tokenizer import check_tokenizer_matches

        pooling: Any = self.pooling
        encoder = load_encoder(stage.model, pooling, tuple(self.head), self.similarity == "cos", self.token_types)
        check_tokenizer_matches(self.data.open().tokenizer, encoder.model.config, stage.model)
        return encoder

    def _check_lengths(self, encoder: Any, asker: Any) -> None:
        for model, length in ((encoder, self.passage_length), (asker, self.query_length)):
            most = model.model.config.max_position_embeddings
            if length > most:
                raise UserError(
                    f"{self.passages.name}: declared to cut at {length} tokens, but its model has {most} positions; "
                    "correct baselines/systems.py, or give the model that is meant"
                )

    def _pieces(self, prompt: str) -> Any:
        """The pieces of a prompt, int32 (m,)."""
        from simlm.data.tokenizer import PieceMaker

        (pieces,) = PieceMaker(self.data.open().tokenizer, 512)([prompt])
        return np.array(pieces, dtype=np.int32)


@work_rule.register
def _searched(stage: SearchReleased) -> Work:
    return search_work(stage, stage.passages, stage.splits, stage.query_length, stage.passage_length)


class SearchTokens(RunStage):
    """Runs of a published multi-vector encoder by exact MaxSim, and its index, which is not compressed (Table 3).

    Only texts are read, no titles: no multi-vector system here has any. How texts are cut, marked and expanded is what
    the checkpoint says.
    """

    shared = True

    model: Param[PublicModel]
    splits: Param[list[str]]
    depth: Param[int]

    tag = "released"
    libraries = ("sentence_transformers",)

    def run(self) -> dict[str, Any]:
        from baselines.late import open_encoder, write_index
        from baselines.maxsim import search_tokens
        from simlm.distributed import is_first, own_device
        from simlm.retrieval.dense import timed
        from simlm.retrieval.runs import Run

        device = own_device(chosen_device())
        collection, source = self.data.open(), self.data.source()
        encoder = open_encoder(self.model.model, device)
        texts = (passage.text for passage in source.passages())
        index, encoding = timed(partial(write_index, encoder, texts, len(collection.passages)), self.work / "index")
        figures: dict[str, Any] = {"tokens": len(index.vectors), "vectors": len(index.vectors), **encoding}
        for split in self.splits:
            asked = [query.text for query in source.queries(split)]
            found = encoder.encode_query(asked, convert_to_numpy=True, show_progress_bar=False)
            scores, indices = search_tokens(found, index, min(self.depth, len(index)), device)
            if is_first():
                store = collection.queries(split)
                run = Run([store.ids[i] for i in range(len(store))], indices, scores)
                figures |= self.leave(split, run, collection)
        # Encoded where an interrupted attempt can go on.
        if is_first():
            (self.work / "index").rename(self.folder / "index")
        return figures


class SearchPrebuilt(RunStage):
    """BM25 runs over an index that Pyserini publishes, as Anserini searches it.

    ``digest`` stands for the content of a local copy, whose ``location`` does not count; both are "" for Pyserini's
    own, which is fetched by its name. Only the ids and qrels of ``data`` are read.
    """

    index: Param[str]
    digest: Param[str]
    k1: Param[float]
    b: Param[float]
    splits: Param[list[str]]
    depth: Param[int]
    location: Meta[str] = field(default="")

    tag = "bm25"

    def run(self) -> dict[str, Any]:
        from baselines.prebuilt import search_prebuilt
        from simlm.retrieval.runs import read_run

        collection, source = self.data.open(), self.data.source()
        figures: dict[str, Any] = {"k1": self.k1, "b": self.b}
        self.folder.mkdir(parents=True, exist_ok=True)
        for split in self.splits:
            path = self.trec(split)
            queries = source.queries(split)
            search_prebuilt(self.location or self.index, queries, path, self.k1, self.b, self.depth)
            ids = collection.queries(split).ids
            figures |= self.keep(split, read_run(path, [ids[i] for i in range(len(ids))], collection.passages.ids))
        return figures
