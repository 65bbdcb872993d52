"""What the stages that compute with a model have in common: they share their work, and have a precision."""

from experimaestro import Param, field

from simlm.scales.scale import BFLOAT16, FLOAT32
from simlm.workflow.stage import Stage


class ComputingStage(Stage):
    """A stage whose processes share the work, in a precision that counts in its identity.

    With "bfloat16" products are computed in it, under autocast over float32 weights; the queries of a search and all
    losses stay in float32.
    """

    shared = True

    precision: Param[str] = field(default=FLOAT32, ignore_default=True)

    @property
    def half(self) -> bool:
        """Whether products are computed in bfloat16."""
        return self.precision == BFLOAT16
