"""One of two gloo processes of `test_two_processes`: python -m tests.finetuning.two_processes FOLDER.

Fine-tuning's losses and gradients, and shared scoring, each in two processes.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from simlm.data.inputs import Specials
from simlm.distributed import even_share, processes, rank, smallest, summed
from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.finetuning.losses import contrastive_loss, gather_embeddings, global_batch_loss, reciprocal_ranks
from simlm.finetuning.reranker import Reranker, RerankerBatch
from simlm.finetuning.scoring import PairScorer
from simlm.models.load import reranker_from_encoder
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded, PaddedTexts
from tests.pairs import meet, part

BATCH, GROUP, WIDTH, VOCABULARY = 4, 3, 16, 40
SPECIALS = Specials(cls=1, sep=2, pad=0, unk=3, mask=4)


def encoder(dropout: float = 0.0) -> BertModel:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="sdpa",
    )
    return BertModel(config, add_pooling_layer=False).double()


def texts(count: int, seed: int) -> dict[str, Tensor]:
    """Padded inputs (count, L), of many lengths."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 24, (count,), generator=generator)
    mask = torch.arange(24)[None] < lengths[:, None]
    ids = torch.randint(5, VOCABULARY, (count, 24), generator=generator) * mask
    return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": torch.zeros_like(ids)}


def batch() -> dict[str, Any]:
    """The whole batch of a bi-encoder."""
    teacher = torch.randn(BATCH, GROUP, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return {"queries": texts(BATCH, 1), "passages": texts(BATCH * GROUP, 2), "teacher_scores": teacher}


def own(whole: Any) -> Any:
    """This process's part of it."""
    if isinstance(whole, dict):
        return {name: own(value) for name, value in whole.items()}
    share = even_share(len(whole), "rows")
    return whole[rank() * share :][:share]


def gradients(module: nn.Module) -> Tensor:
    """All gradients as one vector."""
    return torch.cat([one.grad.flatten() for one in module.parameters() if one.grad is not None])


def biencoder(alpha: float | None = 0.3) -> BiEncoder:
    return BiEncoder(encoder(), 0.1, alpha).train()


def learnt(model: nn.Module, inputs: dict[str, Any], chunk: int) -> dict[str, Tensor]:
    """Loss and gradients of a batch of which each process has an equal part, as the trainer adds them up."""
    queries, passages = (PaddedTexts(inputs[name], chunk=chunk) for name in ("queries", "passages"))
    outputs = model(BiEncoderBatch((queries, passages), len(queries), inputs.get("teacher_scores")))
    (outputs["loss"] / processes()).backward()
    return {"loss": summed(outputs["loss"].detach() / processes()), "gradients": summed(gradients(model))}


def reranker() -> Reranker:
    return Reranker(reranker_from_encoder(encoder()).double())


class Pairs:
    """Inputs of (query, passage) pairs of many lengths."""

    specials = SPECIALS

    def __call__(self, query: int, passage: int) -> Any:
        ids = np.arange(3 + (query * 7 + passage) % 20, dtype=np.int32) % 30 + 5
        return ids, np.zeros(len(ids), dtype=np.int8)


def scores(together: bool) -> Tensor:
    """The scores of 60 pairs, in batches of few."""
    score = Inference(reranker().eval().score, Padded(SPECIALS), torch.device("cpu"))
    scorer = PairScorer(score, Pairs(), 64, together)  # type: ignore[arg-type]
    return torch.from_numpy(scorer(np.arange(60) % 11, np.arange(60)))


def released(scaled: bool) -> Tensor:
    """The averaged gradients of a contrastive loss, with the released code's scale or without."""
    model = encoder()
    vectors = [model(**own(batch()[name])).last_hidden_state[:, 0] for name in ("queries", "passages")]
    queries, passages = (gather_embeddings(nn.functional.normalize(one, dim=-1)) for one in vectors)
    global_batch_loss(contrastive_loss(queries, passages, 0.1), scaled).backward()
    return summed(gradients(model)) / processes()


def results() -> dict[str, Tensor]:
    """What one process alone and two together have to agree on."""
    found: dict[str, Tensor] = {}
    for name, chunk, alpha in (("plain", 0, 0.3), ("cached", 2, 0.3), ("contrastive", 1, None)):
        inputs = batch() if alpha is not None else batch() | {"teacher_scores": None}
        inputs = {key: own(value) for key, value in inputs.items() if value is not None}
        found |= {f"{name} {key}": value for key, value in learnt(biencoder(alpha), inputs, chunk).items()}
    for group_size in (1, 2):  # queries at once
        model, whole = reranker().train(), own(texts(BATCH * GROUP, 7))
        groups = len(whole["input_ids"]) // GROUP
        for start in range(0, groups, group_size):
            rows = slice(start * GROUP, (start + group_size) * GROUP)
            inputs = {key: value[rows] for key, value in whole.items()}
            (model(RerankerBatch(PaddedTexts(inputs), GROUP, 2))["loss"] * group_size / BATCH).backward()
        found[f"re-ranker {group_size} gradients"] = summed(gradients(model))
    own_queries, own_passages = (biencoder().encode(own(batch()[name])).detach() for name in ("queries", "passages"))
    ranks = reciprocal_ranks(own_queries, gather_embeddings(own_passages), GROUP, rank() * len(own_passages))
    return found | {
        "scores": scores(together=True),
        "ranks": gather_embeddings(ranks),
        "scaled": released(True),
        "unscaled": released(False),
        "smallest": torch.tensor(smallest(7 + rank(), torch.device("cpu"))),
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    place = meet()
    save_file(results(), folder / f"{place}.safetensors")
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
