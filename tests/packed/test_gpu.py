"""The same on a GPU: flash attention, compiled layers, bfloat16 and Gumbel draws against float32 and padding."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.finetuning.reranker import Reranker, RerankerCollator
from simlm.models.load import reranker_from_encoder
from simlm.packed.attention import attend
from simlm.packed.cls_pooling import cls_states
from simlm.packed.forwards import hidden_states, prepare
from simlm.packed.layouts import Inference, inference_layout
from simlm.packed.pack import Packer
from simlm.packed.texts import Packed
from simlm.pretraining.generator import gumbel_argmax, keys_of, sample_by_noise
from simlm.pretraining.packed_batch import PackedBatch
from simlm.pretraining.packing import PackingCollator
from simlm.pretraining.vocabulary_loss import vocabulary_loss
from tests.packed.test_attention import loop
from tests.packed.toys import PAD, SPECIALS, filled, relative_error, rows_of
from tests.pretraining.packable import PACKABLE
from tests.pretraining.test_sampling import p_value
from tests.pretraining.toys import bert, electra, examples

pytestmark = pytest.mark.gpu
PACKER = Packer(PAD, round_to=64, max_length=48)
LAYOUT = Packed(PACKER)
LENGTHS = [22, 17, 9, 30, 5, 12, 40, 8]


def half() -> torch.autocast:
    return torch.autocast("cuda", torch.bfloat16)


@pytest.mark.parametrize("size", [16, 32, 64, 24])
@pytest.mark.parametrize(
    ("queries", "keys"),
    [
        ([0, 4, 5, 9, 9], [0, 7, 9, 16, 16]),
        ([0, 1, 2, 3, 4], [0, 129, 321, 545, 545]),  # as the last layer at [CLS] alone
        ([0, 300, 310], [0, 300, 310]),
    ],
)
def test_attention_against_a_loop(queries: list[int], keys: list[int], size: int) -> None:
    """Sizes and lengths of the kernels for short sequences, and others, which flash attention takes."""
    torch.manual_seed(0)
    tensors = [
        torch.randn(bounds[-1], 2, size, device="cuda").bfloat16().requires_grad_() for bounds in (queries, keys, keys)
    ]
    exact = [tensor.detach().double().cpu().requires_grad_() for tensor in tensors]
    bounds = [torch.tensor(values, dtype=torch.int32) for values in (queries, keys)]
    longest = [int(bound.diff().max()) for bound in bounds]
    result = attend(*tensors, *(bound.cuda() for bound in bounds), *longest, 0.0, 0.3)
    expected = loop(*exact, *bounds)
    assert relative_error(result.cpu(), expected) < 1e-2
    weights = torch.randn(expected.shape)
    (result * weights.cuda()).sum().backward()
    (expected * weights).sum().backward()
    for one, other in zip(tensors, exact, strict=True):
        assert relative_error(one.grad.cpu(), other.grad) < 2e-2


def kept_weights(query: Tensor, key: Tensor, bounds: Tensor, longest: int, rate: float) -> Tensor:
    """(T, heads, longest): which weights dropout keeps, by values that are 1 for one key each, 64 keys at a time."""
    places = torch.arange(len(key), device="cuda") - bounds[:-1].long().repeat_interleave(bounds.diff())
    parts = []
    for start in range(0, longest, 64):
        value = (places[:, None] == torch.arange(start, start + 64, device="cuda")).to(key.dtype)
        torch.manual_seed(7)
        value = value[:, None].expand(-1, key.shape[1], -1).contiguous()
        parts.append(attend(query, key, value, bounds, bounds, longest, longest, rate, None) > 0)
    return torch.cat(parts, dim=2)[..., :longest]


@pytest.mark.parametrize("lengths", [[5, 64, 33, 0, 7], [1, 144, 31, 129, 128], [200, 16], [9, 16, 0]])
def test_dropped_attention_and_its_gradients(lengths: list[int]) -> None:
    torch.manual_seed(1)
    rate, longest = 0.3, max(lengths)
    bounds = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32, device="cuda")
    states = [torch.randn(sum(lengths), 3, 64, device="cuda").bfloat16().requires_grad_() for _ in range(3)]
    kept = kept_weights(states[0].detach(), states[1].detach(), bounds, longest, rate)
    torch.manual_seed(7)
    result = attend(*states, bounds, bounds, longest, longest, rate, None)
    weights = torch.randn_like(result)
    result.backward(weights)

    exact = [tensor.detach().double().requires_grad_() for tensor in states]
    query, key, value = exact
    rows, share = [], []
    for start, stop in zip(bounds.tolist()[:-1], bounds.tolist()[1:], strict=True):
        scores = torch.einsum("qhd,khd->hqk", query[start:stop], key[start:stop]) / 8
        own = kept[start:stop, :, : stop - start].transpose(0, 1)
        share += own.flatten().tolist()
        rows.append(torch.einsum("hqk,khd->qhd", scores.softmax(dim=2) * own / (1 - rate), value[start:stop]))
    expected = torch.cat(rows)
    expected.backward(weights.double())
    assert abs(np.mean(share) - (1 - rate)) < 5 * (rate * (1 - rate) / len(share)) ** 0.5
    assert relative_error(result, expected) < 1e-2
    for one, other in zip(states, exact, strict=True):
        assert relative_error(one.grad, other.grad) < 2e-2


def test_what_attention_drops_is_independent() -> None:
    """Of heads, of neighbouring queries and keys, and of sequences."""
    torch.manual_seed(2)
    bounds = torch.arange(0, 60 * 64 + 1, 64, dtype=torch.int32, device="cuda")
    query, key = (torch.randn(60 * 64, 4, 64, device="cuda").bfloat16() for _ in range(2))
    kept = kept_weights(query, key, bounds, 64, 0.5).long()
    assert kept.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / kept.numel() ** 0.5)
    for dim, apart in ((0, 1), (0, 64), (1, 1), (2, 1)):
        length = kept.shape[dim] - apart
        one, other = kept.narrow(dim, 0, length), kept.narrow(dim, apart, length)
        assert p_value((2 * one + other).flatten().cpu(), torch.full((4,), 0.25)) > 1e-4


@pytest.mark.parametrize("compiled", [False, True])
def test_encoders_in_bfloat16(compiled: bool) -> None:
    for body in (bert().bert, electra().electra):
        exact, other = copy.deepcopy(body).cuda(), copy.deepcopy(body).cuda()
        prepare(exact, compiled=False)
        prepare(other, compiled)
        packed = filled(rows_of()).to("cuda")
        for forward in (cls_states, lambda body, pack: hidden_states(body, pack)[0, : pack.tokens]):
            with half():
                states = forward(other, packed)
            assert relative_error(states, forward(exact, packed)) < 3e-2


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", PACKABLE)
def test_the_whole_step_in_bfloat16(name: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = PACKABLE[name]().cuda()
    exact, packed = copy.deepcopy(objective), objective
    prepare(exact, compiled=False)
    prepare(packed, compiled)
    collator = PackingCollator(
        objective.collator, 10_000, round_to=64, max_length=48, whole_groups=objective.whole_groups
    )
    (part,) = collator(examples(LENGTHS, titled=True), 64)
    part = part.to("cuda")
    with half():
        assert torch.isfinite(packed(part)["loss"])
    # Samples would differ.
    monkeypatch.setattr(PackedBatch, "sampled", lambda batch, rows, output, side: batch["input_ids"])
    with half():
        loss = packed(part)["loss"]
    wanted = exact(part)["loss"]
    assert loss.item() == pytest.approx(wanted.item(), rel=5e-3)
    assert relative_error(gradient(packed, loss), gradient(exact, wanted)) < 5e-2


def test_compiled_layers_draw_dropout() -> None:
    body = bert(dropout=0.3).bert.cuda()
    prepare(body, compiled=True)
    packed = filled(rows_of()).to("cuda")
    with half():
        assert not torch.equal(cls_states(body, packed), cls_states(body, packed))
        hidden_states(body, packed).float().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in body.parameters() if weight.grad is not None)


@pytest.mark.parametrize("compiled", [False, True])
def test_packs_one_at_a_time_draw_the_dropout_of_all_at_once(compiled: bool) -> None:
    """GradCache's second pass on a GPU, compiled layers included; then vectors of the same layers in evaluation."""
    model = BiEncoder(bert(dropout=0.3).bert, 0.05).cuda()
    exact = copy.deepcopy(model)
    prepare(model, compiled)
    rows = rows_of(LENGTHS)  # two queries and their three passages each
    layout = Packed(replace(PACKER, max_tokens=60))
    batch = BiEncoderBatch(layout.sides(rows[:2], rows[2:]), 2).to("cuda")
    (texts,) = batch.texts
    assert len(texts.packs) > 1
    results = []
    for cached in (True, False):
        torch.manual_seed(5)
        with half():
            if cached:
                loss = model(batch)["loss"]
            else:
                vectors = torch.cat([model.encode(one) for one in texts.packs])
                loss = model.losses(vectors[:2], vectors[2:], None)["loss"]
        results.append((loss.item(), gradient(model, loss)))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
    assert relative_error(results[0][1], results[1][1]) < 1e-2
    prepare(exact, compiled=False)
    device = torch.device("cuda")
    encode = Inference(model.eval().encode, inference_layout(model.encoder, SPECIALS, 48, device), device)
    vectors = encode(encode.collate(rows))
    with torch.no_grad():
        assert relative_error(vectors, exact.eval().encode(filled(rows).to("cuda"))) < 3e-2


@pytest.mark.parametrize("compiled", [False, True])
def test_the_re_ranker_learns_in_bfloat16(compiled: bool) -> None:
    torch.manual_seed(4)
    model = Reranker(reranker_from_encoder(bert().bert)).cuda()
    exact = copy.deepcopy(model)
    prepare(model, compiled)
    prepare(exact, compiled=False)
    rows = rows_of(LENGTHS)
    groups = [rows[:4], rows[4:]]
    some = RerankerCollator(LAYOUT, keep=3)(groups)
    with half():
        loss = model(some.to("cuda"))["loss"]
    assert torch.isfinite(gradient(model, loss)).all() and model.training
    part = RerankerCollator(LAYOUT, keep=4)(groups)  # all are kept, whatever half precision makes of scores
    with half():
        loss = model(part.to("cuda"))["loss"]
    wanted = exact(part.to("cuda"))["loss"]
    assert loss.item() == pytest.approx(wanted.item(), rel=2e-2)
    assert relative_error(gradient(model, loss), gradient(exact, wanted)) < 1e-1


def test_the_compiled_loss_over_a_true_vocabulary() -> None:
    torch.manual_seed(0)
    hidden, output = torch.randn(300, 64), nn.Linear(64, 30_522)
    targets, weights = torch.randint(30_522, (300,)), torch.rand(300)
    results = []
    for device in ("cpu", "cuda"):
        rows, layer = hidden.detach().to(device).requires_grad_(), output.to(device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = vocabulary_loss(rows, layer, targets.to(device), weights.to(device))
        results.append([loss, *torch.autograd.grad(loss, (rows, layer.weight, layer.bias))])
        results[-1] = [tensor.detach().cpu() for tensor in results[-1]]
    assert all(relative_error(one, other) < 2e-2 for one, other in zip(results[1], results[0], strict=True))


def test_compiled_gumbel_draws_follow_the_softmax() -> None:
    torch.manual_seed(0)
    output = nn.Linear(4, 1_003).cuda()
    nn.init.zeros_(output.weight)
    nn.init.normal_(output.bias, std=2)
    uniforms = torch.from_numpy(np.random.default_rng(0).random(40_960)).cuda()
    with half():
        drawn = sample_by_noise(torch.zeros(40_960, 4, device="cuda"), output, uniforms).cpu()
    probabilities = output.bias.detach().bfloat16().double().softmax(0).cpu()
    assert p_value(drawn, probabilities) > 1e-3
    eager = gumbel_argmax(output.bias.detach().bfloat16().cpu().expand(2_000, -1), keys_of(uniforms[:2_000].cpu()))
    assert (eager == drawn[:2_000]).double().mean() > 0.995  # a logarithm may differ in its last digit


def test_filler_is_never_read() -> None:
    body = bert().bert.cuda()
    prepare(body, compiled=False)
    packed = filled(rows_of()).to("cuda")
    changed = packed.input_ids.clone()
    changed[0, packed.tokens :] = PAD + 7
    with half():
        one, other = hidden_states(body, packed), hidden_states(body, packed, changed)
    assert torch.equal(one[0, : packed.tokens], other[0, : packed.tokens])
