"""An objective over packs: the same losses from the same weights, without padding."""

from torch import Tensor, nn
from transformers import BertForMaskedLM

from simlm.packed.batch import PackedBatch
from simlm.packed.forwards import prepare
from simlm.packed.parts import Part
from simlm.pretraining.objective import PackableObjective


class PackedObjective(nn.Module):
    """``objective``'s losses over one part of a batch; its weights are trained in place.

    compiled: compile the layers. gumbel: how a generator's tokens are drawn (``sample_rows``).
    """

    def __init__(self, objective: PackableObjective, compiled: bool = False, gumbel: bool = False) -> None:
        super().__init__()
        self.objective = objective
        self.gumbel = gumbel
        prepare(objective, compiled)
        if compiled and isinstance(objective.encoder, BertForMaskedLM):
            objective.encoder.cls.predictions.transform.compile(dynamic=False)

    def forward(self, part: Part) -> dict[str, Tensor]:
        """The part's share of each of the objective's losses; over a batch they add up."""
        return self.objective.losses(PackedBatch(part, self.gumbel))
