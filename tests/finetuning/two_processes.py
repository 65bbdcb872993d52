"""One of two gloo processes of `test_gather`: python -m tests.finetuning.two_processes RANK FOLDER."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from simlm.finetuning.gather import gather_embeddings, global_batch_loss
from simlm.finetuning.losses import contrastive_loss
from simlm.finetuning.ranking import reciprocal_ranks
from simlm.group import rank

BATCH, GROUP, WIDTH, WORLD = 4, 3, 5, 2


class Encoder(nn.Module):
    """Stands for a bi-encoder: queries and passages in one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(WIDTH, WIDTH).double()

    def forward(self, queries: Tensor, passages: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (nn.functional.normalize(self.layer(part), dim=-1) for part in (queries, passages))
        return first, second


def texts() -> tuple[Tensor, Tensor]:
    """The whole batch."""
    generator = torch.Generator().manual_seed(2)
    queries = torch.randn(BATCH, WIDTH, generator=generator, dtype=torch.float64)
    return queries, torch.randn(BATCH * GROUP, WIDTH, generator=generator, dtype=torch.float64)


def gradients(encoder: nn.Module) -> Tensor:
    """All gradients as one vector."""
    return torch.cat([one.grad.flatten() for one in encoder.parameters() if one.grad is not None])


def main(place: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=place, world_size=WORLD)
    queries, passages = (part.chunk(WORLD)[place] for part in texts())
    result: dict[str, Tensor] = {}
    for name, scaled in (("scaled", True), ("plain", False)):
        encoder = nn.parallel.DistributedDataParallel(Encoder())
        own_queries, own_passages = encoder(queries, passages)
        all_passages = gather_embeddings(own_passages)
        loss = contrastive_loss(gather_embeddings(own_queries), all_passages, 0.1)
        global_batch_loss(loss, scaled).backward()
        result[name] = gradients(encoder)
        result["loss"] = loss.detach()
        result["ranks"] = reciprocal_ranks(own_queries, all_passages, GROUP, rank() * len(own_passages))
    torch.save(result, folder / f"{place}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
