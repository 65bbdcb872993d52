"""Pre-training without padding: what a stage trains with on a GPU."""

import torch
from torch import Tensor, nn
from transformers import BertForMaskedLM

from simlm.finetuning.fit import texts_that_fit
from simlm.packed.batch import PackedBatch
from simlm.packed.forwards import prepare
from simlm.packed.limits import MAX_TOKENS, ROUND_TO
from simlm.packed.parts import PackingCollator, Part
from simlm.pretraining.objective import Objective, PackableObjective
from simlm.training.trainer import Packed


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


def packed_objective(objective: Objective, max_length: int, device: torch.device) -> Packed | None:
    """How ``objective`` is trained without padding; None for one that has no packed form.

    max_length: the longest passage's tokens, by which compiled code is made once. On a CPU nothing is compiled or
    rounded, and tokens are drawn as the padded form does.
    """
    # Whoever computes its losses in a forward of its own computes them from padded batches.
    if not isinstance(objective, PackableObjective) or type(objective).forward is not PackableObjective.forward:
        return None
    on_gpu = device.type == "cuda"
    fit = texts_that_fit(objective.encoder.config, 1, device)
    collate = PackingCollator(
        objective.collator,
        min(MAX_TOKENS, fit) if fit else MAX_TOKENS,
        round_to=ROUND_TO if on_gpu else 0,
        max_length=max_length if on_gpu else None,
        whole_groups=objective.whole_groups,
    )
    return Packed(PackedObjective(objective, compiled=on_gpu, gumbel=on_gpu), collate)
