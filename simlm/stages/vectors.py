"""A rehearsal's trial of memory and disk: vectors of the whole collection, of which the rehearsal encodes a part."""

from typing import Any

from experimaestro import Param

from simlm.stages.data import WHOLE, Prepare
from simlm.stages.libraries import LIBRARIES
from simlm.stages.models import EncoderStage
from simlm.workflow.manifest import read_manifest
from simlm.workflow.stage import Stage


class TryVectors(Stage):
    """Write random vectors, as many and as wide as a search of the whole has, search them, and delete them."""

    imports = LIBRARIES

    data: Param[Prepare]
    """A part of the collection."""
    encoder: Param[EncoderStage]
    """Whose width the vectors have."""
    depth: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.vectors import try_vectors

        numbers = (read_manifest(self.data.job) or {})["numbers"]
        return try_vectors(
            numbers[WHOLE]["passages"],
            self.encoder.model,
            self.depth,
            self.choices.search == "faiss",
            self.choices.compute_device(),
            self.work / "vectors",
        )
