"""Pre-training without padding: what a stage trains with on a GPU."""

import torch

from simlm.finetuning.fit import texts_that_fit
from simlm.packed.limits import MAX_TOKENS, ROUND_TO
from simlm.packed.replaced_lm import PackedReplacedLM, PackingCollator
from simlm.pretraining.objective import Objective
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from simlm.training.trainer import Packed


def packed_objective(objective: Objective, micro_batch: int, max_length: int, device: torch.device) -> Packed | None:
    """How ``objective`` is trained without padding; None for one that has no packed form.

    micro_batch: passages whose counted tokens are averaged together. max_length: the longest passage's tokens, by which
    compiled code is made once. On a CPU nothing is compiled or rounded, and tokens are drawn as the padded form does.
    """
    # A subclass may compute something else.
    if type(objective) is not ReplacedLM or not isinstance(objective.collator, NestedMaskCollator):
        return None
    on_gpu = device.type == "cuda"
    fit = texts_that_fit(objective.encoder.config, 1, device)
    collate = PackingCollator(
        objective.collator,
        min(MAX_TOKENS, fit) if fit else MAX_TOKENS,
        round_to=ROUND_TO if on_gpu else 0,
        max_length=max_length if on_gpu else None,
        group=micro_batch,
    )
    return Packed(PackedReplacedLM(objective, compiled=on_gpu, gumbel=on_gpu), collate)
