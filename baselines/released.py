"""Published systems as stages: the collection in a system's own pieces, encoded and searched as its record says."""

from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from experimaestro import Meta, Param, field
from tokenizers.normalizers import Lowercase, Sequence

from baselines.prebuilt_index import search_prebuilt
from baselines.system import System
from simlm.costs.work import Work, search_work, work_rule
from simlm.data.collection import Collection
from simlm.data.ids import IdTable
from simlm.data.tokenizer import PieceMaker, Specials, check_tokenizer_matches, load_tokenizer
from simlm.data.tokens import TokenStore
from simlm.errors import UserError
from simlm.files import put_in_place
from simlm.retrieval.runs import Run, read_run, without
from simlm.stages.computing import ComputingStage
from simlm.stages.data import Prepare
from simlm.stages.models import PublicModel
from simlm.stages.pipeline import Pipeline
from simlm.stages.runs import Retrieve, RunStage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PrepareFor(Prepare):
    """The collection in the pieces of the tokenizer that comes with a published model.

    With ``lower_case`` they are those of its texts in lower case, whatever the tokenizer does.
    """

    model: Param[PublicModel]
    lower_case: Param[bool] = field(default=False, ignore_default=True)

    def tokenizer_for(self, collection: Collection) -> "PreTrainedTokenizerFast":
        tokenizer = load_tokenizer(self.model.model)
        if self.lower_case:
            own = tokenizer.backend_tokenizer.normalizer
            tokenizer.backend_tokenizer.normalizer = Sequence([Lowercase(), *([own] if own else [])])
        return tokenizer


class SearchReleased(RunStage, ComputingStage):
    """Runs of a published dual encoder, by exact search; the parameters are a `baselines.system.System`'s.

    ``data`` is the collection in the pieces of the passages' encoder, which have to be the queries' too.
    """

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
        from baselines.encoder import Texts
        from simlm.distributed import own_device
        from simlm.packed.layouts import Inference
        from simlm.packed.texts import Padded
        from simlm.retrieval.dense import EncoderSide, search_splits

        device = own_device(self.choices.compute_device())
        specials = Specials.of(self.data.open().tokenizer)
        encoder = self._encoder(self.passages).to(device)
        asker = encoder if self.queries is self.passages else self._encoder(self.queries).to(device)
        self._check_lengths(encoder, asker)
        title: Any = self.title
        passage_prompt_ids = self._pieces(self.passage_prompt)
        query_prompt_ids = self._pieces(self.query_prompt)

        def passages(store: TokenStore) -> Texts:
            return Texts(store, title, passage_prompt_ids, specials)

        def queries(store: TokenStore) -> Texts:
            return Texts(store, "none", query_prompt_ids, specials)

        layout = Padded(specials)
        return search_splits(
            self.data.open(),
            EncoderSide(Inference(encoder, layout, device, self.half), self.passage_length, specials, passages),
            EncoderSide(Inference(asker, layout, device), self.query_length, specials, queries),
            dict.fromkeys(self.splits, self.depth),
            self.splits[-1],
            self.choices.search == "faiss",
            self.work,
            self.folder,
            self.leave,
        )

    def _encoder(self, stage: PublicModel) -> Any:
        from baselines.encoder import load_encoder

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
        """Return the pieces of a prompt, int32 (m,)."""
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
        from baselines.multi_vector import open_encoder, search_tokens, write_index
        from simlm.distributed import is_first, own_device
        from simlm.retrieval.dense import timed

        device = own_device(self.choices.compute_device())
        collection, source = self.data.open(), self.data.source()
        encoder = open_encoder(self.model.model, device)
        texts = ((passage.id, passage.text) for passage in source.passages())
        index, encoding = timed(partial(write_index, encoder, texts, len(collection.passages)), self.work / "index")
        figures: dict[str, Any] = {"tokens": len(index.vectors), "vectors": len(index.vectors), **encoding}
        for split in self.splits:
            asked = [query.text for query in source.queries(split)]
            found = encoder.encode_query(asked, convert_to_numpy=True, show_progress_bar=False)
            own = collection.own_passages(split)
            places = min(self.depth if own is None else self.depth + 1, len(index))
            scores, indices = search_tokens(found, index, places, device)
            if is_first():
                store = collection.queries(split)
                run = Run([store.ids[i] for i in range(len(store))], indices, scores)
                figures |= self.leave(split, run if own is None else without(run, own, self.depth), collection)
        # Encoded where an interrupted attempt can go on.
        if is_first():
            put_in_place(self.work / "index", self.folder / "index")
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
        collection, source = self.data.open(), self.data.source()
        figures: dict[str, Any] = {"k1": self.k1, "b": self.b}
        self.folder.mkdir(parents=True, exist_ok=True)
        for split in self.splits:
            path = self.trec(split)
            queries = source.queries(split)
            own = collection.own_passages(split)
            places = self.depth if own is None else self.depth + 1
            search_prebuilt(self.location or self.index, queries, path, self.k1, self.b, places)
            if self.data.part:
                _keep_known(path, collection.passages.ids)
            ids = collection.queries(split).ids
            run = read_run(path, [ids[i] for i in range(len(ids))], collection.passages.ids)
            if own is None:
                figures |= self.keep(split, run)
            else:
                figures |= self.leave(split, without(run, own, self.depth), collection)
        return figures


def _keep_known(path: Path, passages: IdTable) -> None:
    """Keep the lines of a run file whose passages are in a part of the collection: the index is of the whole."""
    known = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        with suppress(KeyError):
            passages.index(line.split()[2])
            known.append(line)
    path.write_text("".join(known), encoding="utf-8")


class SystemPipeline(Pipeline):
    """The pipeline of a whole scale, whose collection is in the pieces of the tokenizer of ``model``, a system's.

    Its stages' names begin with the system's.
    """

    def __init__(self, whole: Pipeline, system: System, model: PublicModel) -> None:
        # The scale is the whole's object, whose seeds are set already: 0 leaves them.
        super().__init__(whole.scale, 0, lambda stage, name: whole.add(stage, f"{system.label}: {name}"))
        self.system, self.model = system, model

    @cached_property
    def data(self) -> PrepareFor:
        return self.add(
            PrepareFor.C(
                **self.collection, vocabulary=0, tokenizer="", model=self.model, lower_case=self.system.lower_case
            ),
            "collection",
        )

    def search_tokens(self, splits: list[str]) -> SearchTokens:
        """Return runs of the system's multi-vector encoder on test splits."""
        depth = self.scale.search.evaluation_depth
        return self.add(SearchTokens.C(data=self.data, model=self.model, splits=splits, depth=depth), "runs")

    def fine_tuned(self) -> Retrieve:
        """Return runs of Retriever1 from the system's pre-trained encoder, on the negatives of the collection."""
        lists = self.package_lists("negatives of the collection")
        return self.retrieve(self.retriever(self.model, lists, "Retriever1"), "runs")

    def search(self, passages: PublicModel, queries: PublicModel, splits: list[str]) -> SearchReleased:
        """Return runs of the system's encoders on test splits: nothing is chosen on valid."""
        system = self.system
        return self.add(
            SearchReleased.C(
                data=self.data,
                passages=passages,
                queries=queries,
                pooling=system.pooling,
                head=list(system.head),
                similarity=system.similarity,
                query_prompt=system.query_prompt,
                passage_prompt=system.passage_prompt,
                query_length=system.query_length,
                passage_length=system.passage_length,
                title=system.title,
                token_types=system.token_types,
                splits=splits,
                depth=self.scale.search.evaluation_depth,
            ),
            "runs",
        )
