"""A retriever's update: 64 queries with 16 passages each, contrastive loss."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertModel

from benchmarks import passages as synthetic
from benchmarks.speed.machine import Machine
from benchmarks.speed.measure import Result, measured
from benchmarks.speed.models import configs_for, new_bert
from simlm.costs.model import TRAINING
from simlm.data.inputs import Encoded, batch_inputs
from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.packed.layouts import training_layout
from simlm.packed.texts import PackedTexts

Make = Callable[[Machine, list[Encoded], list[Encoded]], tuple[Callable[[], None], str]]


def finetune(machine: Machine) -> list[Result]:
    """Ours and the straightforward way on the same queries and passages; ours at other batch sizes, unless quick."""
    usual = 64 if machine.gpu else 16
    way = "packed" if machine.gpu else "padded by length"
    results = [_measured(machine, way, ours, usual), _measured(machine, "straightforward", straightforward, usual)]
    if not machine.quick:
        results += [
            _measured(machine, way, ours, number, "queries an update") for number in (usual // 4, usual, 4 * usual)
        ]
    return results


def _measured(machine: Machine, way: str, make: Make, number: int, varied: str = "") -> Result:
    configs, group = configs_for(machine), 16 if machine.gpu else 4
    queries = synthetic.queries(number, configs.vocabulary)
    rows = synthetic.passages(number * group, configs.vocabulary)
    tokens, length = synthetic.tokens_of([*queries, *rows])
    flop = TRAINING * configs.sizes()[0].forward(tokens, length)
    work, how = make(machine, queries, rows)
    what = f"{number} queries with {group} passages; {how}"
    at = number if varied else 0
    return measured(machine, "finetune", way, what, work, tokens, flop, warm_up=2, calls=3, varied=varied, at=at)


def _updating(body: BertModel, machine: Machine, loss: Callable[[], Tensor], fused: bool) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(body.parameters(), lr=2e-5, weight_decay=0.0, fused=fused or None)

    def step() -> None:
        optimizer.zero_grad()
        with machine.autocast():
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(body.parameters(), 1.0)
        optimizer.step()

    return step


def _body(machine: Machine) -> BertModel:
    body: BertModel = new_bert(machine).bert
    return body.train()


def ours(machine: Machine, queries: list[Encoded], rows: list[Encoded]) -> tuple[Callable[[], None], str]:
    """Packs on a GPU, pieces of similar length on a CPU; the last layer at [CLS] only."""
    body = _body(machine)
    model = BiEncoder(body, 0.02)
    layout = training_layout(model, body, synthetic.SPECIALS, synthetic.LONGEST, machine.device)
    batch = BiEncoderBatch(layout.sides(queries, rows), len(queries))
    if machine.gpu:
        batch = batch.pin_memory()

    def loss() -> Tensor:
        return cast(Tensor, model(batch.to(machine.device))["loss"])

    (texts,) = batch.texts[:1]
    if not isinstance(texts, PackedTexts):
        return _updating(body, machine, loss, False), "4 pieces by length"
    many = "one pack" if len(texts.packs) == 1 else f"{len(texts.packs)} packs that fit (GradCache)"
    return _updating(body, machine, loss, True), f"queries and passages in {many}, compiled layers, fused AdamW"


def straightforward(machine: Machine, queries: list[Encoded], rows: list[Encoded]) -> tuple[Callable[[], None], str]:
    """Padded to the longest, the whole last layer, no compiled code."""
    body = _body(machine)
    inputs = [batch_inputs(part, synthetic.SPECIALS) for part in (queries, rows)]
    group = len(rows) // len(queries)
    labels = torch.arange(0, len(rows), group, device=machine.device)

    def loss() -> Tensor:
        one, other = (
            functional.normalize(
                body(**{name: tensor.to(machine.device) for name, tensor in part.items()})
                .last_hidden_state[:, 0]
                .float(),
                dim=-1,
            )
            for part in inputs
        )
        return functional.cross_entropy(one @ other.t() / 0.02, labels)

    return _updating(body, machine, loss, False), "padded to the longest, torch's AdamW"
