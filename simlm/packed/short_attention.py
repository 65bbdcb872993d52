"""Attention of many short sequences as Triton kernels, with dropout: flash attention's tiles are mostly empty there.

A program has one tile of one sequence and head. Scores stay on the chip, in float32, and are computed again in the
backward pass from the log-sums of their rows. What dropout keeps follows from a number drawn from torch's generator of
the device and from the places of query, key and head: the backward pass and gradient caching get the same.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

HEADS = (16, 32, 64)
"""Sizes of a head that the kernels take."""
LONGEST = 256
"""Tokens of a sequence; longer ones fill flash attention's tiles."""
FEW = 16
"""Queries or keys of a tile, where no sequence has more; otherwise as many as these, and so many warps a program."""
FORWARD = (64, 64, 4)
BACKWARD = (32, 128, 4)
LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _mixed(bits):  # type: ignore[no-untyped-def]
    """Mix uint32 one to one so that the high bits depend on all (Wellons' lowbias32 without its last step)."""
    bits = (bits ^ (bits >> 16)) * 0x7FEB352D
    return (bits ^ (bits >> 15)) * 0x846CA68B


@triton.jit
def _row_bits(seed, head, heads, rows):  # type: ignore[no-untyped-def]
    """Make random bits, uint32, of queries, from their places in the pack."""
    number = tl.load(seed)
    bits = _mixed((rows * heads + head).to(tl.uint32) ^ number.to(tl.uint32))
    bits = _mixed(bits ^ (bits >> 16) ^ (number >> 32).to(tl.uint32))
    return bits ^ (bits >> 16)


@triton.jit
def _kept(row_bits, keys, threshold):  # type: ignore[no-untyped-def]
    """Tell whether dropout keeps a weight; keys are places in the sequence. Both arguments broadcast."""
    return _mixed(row_bits ^ (keys.to(tl.uint32) * 0x9E3779B9)) >= threshold.to(tl.uint32)


@triton.jit
def _tile(states, rows, end, head, heads, SIZE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Load rows (M, SIZE) of states (T, heads, SIZE), 0 from row ``end`` on."""
    places = (rows[:, None] * heads + head) * SIZE + tl.arange(0, SIZE)[None, :]
    return tl.load(states + places, mask=(rows < end)[:, None], other=0.0)


@triton.jit
def _store(states, values, rows, end, head, heads, SIZE: tl.constexpr):  # type: ignore[no-untyped-def]
    places = (rows[:, None] * heads + head) * SIZE + tl.arange(0, SIZE)[None, :]
    tl.store(states + places, values.to(states.dtype.element_ty), mask=(rows < end)[:, None])


@triton.jit
def _forward(  # type: ignore[no-untyped-def]
    query, key, value, query_bounds, key_bounds, seed, output, log_sums, heads, tiles, scale, rescale, threshold,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, DROPS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    head, sequence = program // tiles % heads, program // tiles // heads
    end = tl.load(query_bounds + sequence + 1)
    first = tl.load(query_bounds + sequence) + program % tiles * ROWS
    if first >= end:
        return
    key_start, key_end = tl.load(key_bounds + sequence), tl.load(key_bounds + sequence + 1)
    rows = first + tl.arange(0, ROWS)
    own = _tile(query, rows, end, head, heads, SIZE)
    largest = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, SIZE], tl.float32)
    row_bits = _row_bits(seed, head, heads, rows)
    for start in range(key_start, key_end, KEYS):
        keys = start + tl.arange(0, KEYS)
        scores = tl.dot(own, tl.trans(_tile(key, keys, key_end, head, heads, SIZE))) * (scale * LOG2_E)
        scores = tl.where((keys < key_end)[None, :], scores, -float("inf"))
        new = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - new[:, None])
        shrink = tl.exp2(largest - new)
        total = total * shrink + tl.sum(weights, 1)
        if DROPS:
            weights = tl.where(_kept(row_bits[:, None], (keys - key_start)[None, :], threshold), weights, 0.0)
        values = _tile(value, keys, key_end, head, heads, SIZE)
        sums = tl.dot(weights.to(values.dtype), values, sums * shrink[:, None])
        largest = new
    sums = tl.where(total[:, None] > 0, sums * (rescale / total)[:, None], 0.0)
    _store(output, sums, rows, end, head, heads, SIZE)
    tl.store(log_sums + rows * heads + head, largest + tl.log2(total), mask=rows < end)


@triton.jit
def _transposed(  # type: ignore[no-untyped-def]
    own, above, keyed, values, keys, key_start, key_end, rows, end, head, heads, output, log_sums, seed, scale,
    rescale, threshold, SIZE: tl.constexpr, DROPS: tl.constexpr,
):  # fmt: skip
    """Return weights after dropout without ``rescale``, and gradients of the scores without the scale: (KEYS, ROWS)
    each.

    A softmax's gradient subtracts a mean, which is each row's product of output and gradient.
    """
    scores = tl.dot(keyed, tl.trans(own)) * (scale * LOG2_E)
    sums = tl.load(log_sums + rows * heads + head, mask=rows < end, other=0.0)
    weights = tl.where((keys < key_end)[:, None], tl.exp2(scores - sums[None, :]), 0.0)
    mean = tl.sum(_tile(output, rows, end, head, heads, SIZE).to(tl.float32) * above.to(tl.float32), 1)
    changes = tl.dot(values, tl.trans(above))
    used = weights
    if DROPS:
        row_bits = _row_bits(seed, head, heads, rows)
        kept = _kept(row_bits[None, :], (keys - key_start)[:, None], threshold)
        used = tl.where(kept, weights, 0.0)
        changes = tl.where(kept, changes * rescale, 0.0)
    return used.to(above.dtype), (weights * (changes - mean[None, :])).to(above.dtype)


@triton.jit
def _backward(  # type: ignore[no-untyped-def]
    query, key, value, query_bounds, key_bounds, seed, output, log_sums, gradient, query_gradient, key_gradient,
    value_gradient, heads, tiles, key_tiles, scale, rescale, threshold,
    SIZE: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, DROPS: tl.constexpr,
):  # fmt: skip
    """Compute the gradients by queries, keys and values.

    Of a sequence and head, the first ``key_tiles`` programs have a tile of keys each, the others one of queries. Where
    all keys are in one tile, its program does the queries too.
    """
    program = tl.program_id(0)
    tile, head, sequence = program % tiles, program // tiles % heads, program // tiles // heads
    start, end = tl.load(query_bounds + sequence), tl.load(query_bounds + sequence + 1)
    key_start, key_end = tl.load(key_bounds + sequence), tl.load(key_bounds + sequence + 1)
    alone = key_end - key_start <= KEYS
    if tile < key_tiles:
        first = key_start + tile * KEYS
        if (first >= key_end) & (tile > 0):
            return
        keys = first + tl.arange(0, KEYS)
        keyed = _tile(key, keys, key_end, head, heads, SIZE)
        values = _tile(value, keys, key_end, head, heads, SIZE)
        key_sums = tl.zeros([KEYS, SIZE], tl.float32)
        value_sums = tl.zeros([KEYS, SIZE], tl.float32)
        for at in range(start, end, ROWS):
            rows = at + tl.arange(0, ROWS)
            own = _tile(query, rows, end, head, heads, SIZE)
            above = _tile(gradient, rows, end, head, heads, SIZE)
            used, changes = _transposed(
                own, above, keyed, values, keys, key_start, key_end, rows, end, head, heads, output, log_sums, seed,
                scale, rescale, threshold, SIZE, DROPS,
            )  # fmt: skip
            value_sums = tl.dot(used, above, value_sums)
            key_sums = tl.dot(changes, own, key_sums)
            if alone:
                _store(query_gradient, tl.dot(tl.trans(changes), keyed) * scale, rows, end, head, heads, SIZE)
        _store(key_gradient, key_sums * scale, keys, key_end, head, heads, SIZE)
        _store(value_gradient, value_sums * rescale, keys, key_end, head, heads, SIZE)
    else:
        first = start + (tile - key_tiles) * ROWS
        if (first >= end) | alone:
            return
        rows = first + tl.arange(0, ROWS)
        own = _tile(query, rows, end, head, heads, SIZE)
        above = _tile(gradient, rows, end, head, heads, SIZE)
        sums = tl.zeros([ROWS, SIZE], tl.float32)
        for at in range(key_start, key_end, KEYS):
            keys = at + tl.arange(0, KEYS)
            keyed = _tile(key, keys, key_end, head, heads, SIZE)
            values = _tile(value, keys, key_end, head, heads, SIZE)
            _, changes = _transposed(
                own, above, keyed, values, keys, key_start, key_end, rows, end, head, heads, output, log_sums, seed,
                scale, rescale, threshold, SIZE, DROPS,
            )  # fmt: skip
            sums = tl.dot(tl.trans(changes), keyed, sums)
        _store(query_gradient, sums * scale, rows, end, head, heads, SIZE)


def _tiling(sizes: tuple[int, int, int], max_query: int, max_key: int) -> tuple[int, int, dict[str, int]]:
    """Return how many tiles of queries and of keys the longest sequence has, and how large they are."""
    rows, keys, warps = sizes
    rows, keys = FEW if max_query <= FEW else rows, FEW if max_key <= FEW else keys
    return -(-max_query // rows), -(-max_key // keys), {"ROWS": rows, "KEYS": keys, "num_warps": warps}


def _drops(dropout: float) -> tuple[float, int]:
    """Return what kept weights are multiplied by, and the first of 2^32 numbers that keeps one."""
    return 1 / (1 - dropout), round(dropout * 2**32)


@torch.library.custom_op("simlm::short_attention", mutates_args=())
def short_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_bounds: Tensor,
    key_bounds: Tensor,
    max_query: int,
    max_key: int,
    dropout: float,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend in half precision on CUDA, and return the output and the log-sums and seed of the backward pass.

    The arguments are those of `simlm.packed.attention.attend`. Sequences have at most ``LONGEST`` tokens, heads one of
    the sizes ``HEADS``.
    """
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    _, heads, size = query.shape
    output = torch.empty_like(query)
    log_sums = query.new_empty(query.shape[:2], dtype=torch.float32)
    seed = torch.empty(1, dtype=torch.int64, device=query.device)
    if dropout:
        seed.random_()
    tiles, _, sizes = _tiling(FORWARD, max_query, max_key)
    _forward[((len(query_bounds) - 1) * heads * tiles,)](
        query, key, value, query_bounds, key_bounds, seed, output, log_sums, heads, tiles, scale, *_drops(dropout),
        SIZE=size, DROPS=dropout > 0, **sizes,
    )  # fmt: skip
    return output, log_sums, seed


@short_attention.register_fake
def _(query: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    output = torch.empty_like(query, memory_format=torch.contiguous_format)
    return output, query.new_empty(query.shape[:2], dtype=torch.float32), query.new_empty(1, dtype=torch.int64)


@torch.library.custom_op("simlm::short_attention_backward", mutates_args=())
def _gradients(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_bounds: Tensor,
    key_bounds: Tensor,
    output: Tensor,
    log_sums: Tensor,
    seed: Tensor,
    max_query: int,
    max_key: int,
    dropout: float,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    gradient, query, key, value = (tensor.contiguous() for tensor in (gradient, query, key, value))
    _, heads, size = query.shape
    made = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
    tiles, key_tiles, sizes = _tiling(BACKWARD, max_query, max_key)
    tiles = key_tiles + tiles * (key_tiles > 1)
    _backward[((len(query_bounds) - 1) * heads * tiles,)](
        query, key, value, query_bounds, key_bounds, seed, output, log_sums, gradient, *made, heads, tiles, key_tiles,
        scale, *_drops(dropout), SIZE=size, DROPS=dropout > 0, **sizes,
    )  # fmt: skip
    return made


@_gradients.register_fake
def _(gradient: Tensor, *states: Any) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (torch.empty_like(one, memory_format=torch.contiguous_format) for one in states[:3])
    return query, key, value


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *states, max_query, max_key, dropout, scale = inputs
    ctx.save_for_backward(*states, *output)
    ctx.rest = (max_query, max_key, dropout, scale)


def _differentiate(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    made = _gradients(gradient, *ctx.saved_tensors, *ctx.rest)
    return (*made, None, None, None, None, None, None)


short_attention.register_autograd(_differentiate, setup_context=_keep)
