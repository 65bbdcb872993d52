"""A rehearsal's trial of memory and disk: vectors of the whole collection, of which the rehearsal encodes a part."""

from typing import Any

from experimaestro import Param

from simlm.stages.data import WHOLE
from simlm.stages.libraries import LIBRARIES
from simlm.stages.runs import RunStage
from simlm.workflow.manifest import read_manifest
from simlm.workflow.stage import Stage


class TryVectors(Stage):
    """Write random vectors, as many and as wide as a search of the whole has, search them, and delete them."""

    imports = LIBRARIES

    ranked: Param[RunStage]
    """A stage that left the vectors of a part of the collection, in ``passages``."""
    depth: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.vectors import try_vectors

        numbers = (read_manifest(self.ranked.data.job) or {})["numbers"]
        return try_vectors(
            numbers[WHOLE]["passages"],
            self.ranked.folder / "passages",
            self.depth,
            self.choices.search == "faiss",
            self.choices.compute_device(),
            self.work / "vectors",
        )
