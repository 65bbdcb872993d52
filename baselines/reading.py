"""The pipeline over a collection as a published system reads it."""

from functools import cached_property

from baselines.released import PrepareFor, SearchReleased, SearchTokens
from baselines.system import System
from simlm.stages.models import PublicModel
from simlm.stages.pipeline import Pipeline
from simlm.stages.runs import PackageLists, Retrieve


class Reading(Pipeline):
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
                collection=self.scale.collection,
                vocabulary=0,
                tokenizer="",
                digest=self.scale.digest,
                location=self.scale.location,
                model=self.model,
                lower_case=self.system.lower_case,
            ),
            "collection",
        )

    def search_tokens(self, splits: list[str]) -> SearchTokens:
        """Runs of the system's multi-vector encoder on test splits."""
        depth = self.scale.search.evaluation_depth
        return self.add(SearchTokens.C(data=self.data, model=self.model, splits=splits, depth=depth), "runs")

    def fine_tuned(self) -> Retrieve:
        """Runs of Retriever1 from the system's pre-trained encoder, on the negatives that come with the collection."""
        lists = self.add(PackageLists.C(data=self.data), "negatives of the collection")
        return self.retrieve(self.retriever(self.model, lists, "Retriever1"), "runs")

    def search(self, passages: PublicModel, queries: PublicModel, splits: list[str]) -> SearchReleased:
        """Runs of the system's encoders on test splits: nothing is chosen on valid."""
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
