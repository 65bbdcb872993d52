"""A padded batch in pieces of similar length, so that short texts do not pay for the longest one."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from simlm.data.inputs import padded_length

Inputs = Mapping[str, Tensor]


def trim(inputs: Inputs) -> dict[str, Tensor]:
    """Cut (N, L) inputs, padded on the right, to the padded length of their own longest row."""
    longest = padded_length(int(inputs["attention_mask"].sum(dim=1).max()))
    return {name: tensor[:, :longest] for name, tensor in inputs.items()}


def bucketed(forward: Callable[[Inputs], Tensor], inputs: Inputs, buckets: int) -> Tensor:
    """`forward` over (N, L) inputs in `buckets` pieces of N / buckets rows each.

    Returns (N, ...) in the order of the inputs. Rows are sorted by length and every piece is cut to its own
    longest row. Rows must not depend on each other (nothing like a batch norm): then values and gradients are
    those of one padded pass, and only dropout draws differ. 1 piece is the padded pass itself.
    """
    if buckets <= 1:
        return forward(inputs)
    order = torch.argsort(inputs["attention_mask"].sum(dim=1), stable=True)
    pieces = [
        forward(trim({name: tensor[rows] for name, tensor in inputs.items()}))
        for rows in order.chunk(min(buckets, len(order)))
    ]
    return torch.cat(pieces)[torch.argsort(order)]
