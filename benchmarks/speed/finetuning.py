"""A retriever's update: 64 queries with 16 passages each, contrastive loss."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertModel

from benchmarks import passages as synthetic
from benchmarks.speed.measure import Machine, Made, Way, Work
from benchmarks.speed.models import configs_for, new_bert, updating
from simlm.costs.model import TRAINING
from simlm.data.inputs import Encoded, batch_inputs
from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.packed.layouts import training_layout
from simlm.packed.texts import PackedTexts

TEMPERATURE = 0.02


def finetune(machine: Machine) -> Iterator[Way]:
    """Yield ours and the straightforward way on the same queries and passages; ours at other sizes, unless quick."""
    usual, group = (64, 16) if machine.gpu else (16, 4)
    configs = configs_for(machine)

    def way(name: str, make: Callable[..., Made], number: int, varied: str = "") -> Way:
        queries = synthetic.queries(number, configs.vocabulary)
        rows = synthetic.passages(number * group, configs.vocabulary)
        tokens, length = synthetic.tokens_of([*queries, *rows])
        return Way(
            "finetune",
            name,
            f"{number} queries with {group} passages",
            partial(make, machine, queries, rows),
            tokens,
            TRAINING * configs.encoder_size.forward(tokens, length),
            warm_up=2,
            calls=3,
            varied=varied,
            at=number if varied else 0,
        )

    yield way(machine.own_way, own_finetuning, usual)
    yield way("straightforward", plain_finetuning, usual)
    if not machine.quick:
        for number in (usual // 4, usual, 4 * usual):
            yield way(machine.own_way, own_finetuning, number, "queries an update")


def new_body(machine: Machine) -> BertModel:
    """Return an encoder without a head on its device, ready to be trained."""
    body: BertModel = new_bert(machine).bert
    return body.train()


def contrastive_update(body: BertModel, precision: torch.autocast, loss: Callable[[], Tensor], fused: bool) -> Work:
    """Return what does one update of an encoder."""

    def backward() -> None:
        with precision:
            value = loss()
        value.backward()

    return updating(list(body.parameters()), [backward], 2e-5, fused)


def own_finetuning(machine: Machine, queries: list[Encoded], rows: list[Encoded]) -> Made:
    """Prepare what stages do: packs on a GPU, pieces of similar length on a CPU; the last layer at [CLS] only."""
    body = new_body(machine)
    model = BiEncoder(body, TEMPERATURE)
    layout = training_layout(model, body, synthetic.SPECIALS, synthetic.LONGEST, machine.device)
    batch = BiEncoderBatch(layout.sides(queries, rows), len(queries))
    batch = batch.pin_memory() if machine.gpu else batch

    def loss() -> Tensor:
        return cast(Tensor, model(batch.to(machine.device))["loss"])

    texts = batch.texts[0]
    if not isinstance(texts, PackedTexts):
        return Made(contrastive_update(body, machine.autocast(), loss, fused=True), "2 pieces by length, fused AdamW")
    many = "one pack" if len(texts.packs) == 1 else f"{len(texts.packs)} packs that fit (GradCache)"
    how = f"queries and passages in {many}, compiled layers, fused AdamW"
    return Made(contrastive_update(body, machine.autocast(), loss, fused=True), how)


def plain_finetuning(machine: Machine, queries: list[Encoded], rows: list[Encoded]) -> Made:
    """Prepare texts padded to the longest, the whole last layer, no compiled code."""
    body = new_body(machine)
    inputs = [batch_inputs(part, synthetic.SPECIALS) for part in (queries, rows)]
    labels = torch.arange(0, len(rows), len(rows) // len(queries), device=machine.device)

    def vectors(part: dict[str, Tensor]) -> Tensor:
        moved = {name: tensor.to(machine.device) for name, tensor in part.items()}
        return functional.normalize(body(**moved).last_hidden_state[:, 0].float(), dim=-1)

    def loss() -> Tensor:
        one, other = (vectors(part) for part in inputs)
        return functional.cross_entropy(one @ other.t() / TEMPERATURE, labels)

    work = contrastive_update(body, machine.plain_autocast(), loss, fused=False)
    return Made(work, "padded to the longest, torch's AdamW")
