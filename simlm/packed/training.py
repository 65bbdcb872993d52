"""Training without padding: what stages pre-train and fine-tune with on a GPU.

On a CPU nothing is compiled or rounded, and tokens are drawn as the padded form does.
"""

import torch

from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.fit import BOTTLENECK_STATES, PACKED_STATES, texts_that_fit
from simlm.finetuning.reranker import Reranker
from simlm.packed.biencoder import PackedBiEncoder, RetrieverPacker
from simlm.packed.forwards import has_packed_form, prepare
from simlm.packed.limits import MAX_TOKENS, ROUND_PAIRS_TO, ROUND_TO
from simlm.packed.objective import PackedObjective
from simlm.packed.packer import Packer
from simlm.packed.parts import PackingCollator
from simlm.packed.reranker import PackedReranker, RerankerPacker
from simlm.pretraining.objective import Objective, PackableObjective
from simlm.training.trainer import Packed


def packed_objective(objective: Objective, max_length: int, device: torch.device) -> Packed | None:
    """How ``objective`` is trained without padding; None for one that has no packed form.

    max_length: the longest passage's tokens, by which compiled code is made once.
    """
    # Whoever computes its losses in a forward of its own computes them from padded batches.
    if not isinstance(objective, PackableObjective) or type(objective).forward is not PackableObjective.forward:
        return None
    on_gpu = device.type == "cuda"
    fit = texts_that_fit(objective.encoder.config, 1, device, BOTTLENECK_STATES)
    collate = PackingCollator(
        objective.collator,
        min(MAX_TOKENS, fit) if fit else MAX_TOKENS,
        round_to=ROUND_TO if on_gpu else 0,
        max_length=max_length if on_gpu else None,
        whole_groups=objective.whole_groups,
    )
    return Packed(PackedObjective(objective, compiled=on_gpu, gumbel=on_gpu), collate)


def packed_retriever(retriever: BiEncoder, filler: int, max_length: int, device: torch.device) -> Packed | None:
    """How ``retriever`` is fine-tuned without padding; None where its encoder has no packed form.

    A process's whole batch is one micro-batch. Where its activations do not fit the device it goes in several packs
    (GradCache). filler: what packs are filled up with. max_length: the longest text's tokens.
    """
    if not has_packed_form(retriever.encoder):
        return None
    fit = texts_that_fit(retriever.encoder.config, 1, device, PACKED_STATES)
    collate = RetrieverPacker(_packer(filler, ROUND_TO, max_length, device), fit or None)
    prepare(retriever, compiled=device.type == "cuda")
    return Packed(PackedBiEncoder(retriever), collate)


def packed_reranker(reranker: Reranker, keep: int, filler: int, max_length: int, device: torch.device) -> Packed:
    """How ``reranker`` is fine-tuned without padding, on the ``keep`` best pairs of each query.

    filler: what packs are filled up with. max_length: the longest pair's tokens.
    """
    fit = texts_that_fit(reranker.model.config, 1, device, PACKED_STATES)
    packer = _packer(filler, ROUND_PAIRS_TO, max_length, device)
    collate = RerankerPacker(packer, keep, min(MAX_TOKENS, fit) if fit else MAX_TOKENS)
    prepare(reranker, compiled=device.type == "cuda")
    return Packed(PackedReranker(reranker.model), collate)


def _packer(filler: int, round_to: int, max_length: int, device: torch.device) -> Packer:
    return Packer(filler, round_to, max_length) if device.type == "cuda" else Packer(filler)
