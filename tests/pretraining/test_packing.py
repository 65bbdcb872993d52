"""What parts of a batch hold beside its packs: masks' places and weights, whole micro-batches, and how they travel."""

import pickle

import numpy as np
import pytest
import torch

from simlm.pretraining.packed_batch import PackedBatch
from simlm.pretraining.packing import PLACES, PackingCollator
from simlm.pretraining.replaced_lm import NestedMaskCollator
from tests.pretraining.toys import CONFIG, PIECES, examples

LENGTHS = [4 + 7 * number % 23 for number in range(22)]
MASKS = NestedMaskCollator(PIECES, CONFIG)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", ["encoder_mask", "counted", "attention_mask"])
def test_a_masks_places_weigh_alike_within_a_group(name: str, whole: bool) -> None:
    """Token for token: 1 over the places of its group of 8, 8 or 6, times the group's share of 22 passages."""
    rows = examples(LENGTHS, titled=True)
    masks = [MASKS([row])[name][0, : len(row.ids)].bool().numpy() for row in rows]
    expected: list[float] = []
    for number, mask in enumerate(masks):
        group = masks[number - number % 8 : number - number % 8 + 8]
        share = len(group) / len(rows) / sum(int(one.sum()) for one in group)
        expected += [share if true else 0.0 for true in mask]
    found: list[float] = []
    for part in PackingCollator(MASKS, 60, round_to=64, max_length=30, whole_groups=whole)(rows, 8):
        places, weights = part.places[name], np.zeros(part.pack.tokens)
        np.add.at(weights, places.positions.numpy(), places.weights.numpy())
        found += weights.tolist()
        assert len(places.positions) % PLACES == 0
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_micro_batches_stay_whole_where_they_must() -> None:
    rows = examples(LENGTHS)
    cut, whole = (PackingCollator(MASKS, 60, whole_groups=whole)(rows, 8) for whole in (False, True))
    assert [[size for size, _ in part.groups] for part in whole] == [[8], [8], [6]]
    assert len(cut) > 3 and not any(part.groups for part in cut)
    (part,) = PackingCollator(MASKS, 10_000, whole_groups=True)(rows, 8)
    assert part.groups == ((8, 8 / 22), (8, 8 / 22), (6, 6 / 22))
    values = torch.arange(22.0)
    mean = PackedBatch(part).by_group(lambda own: own.max(), values)
    assert mean.item() == pytest.approx((8 * 7 + 8 * 15 + 6 * 21) / 22)
    with pytest.raises(ValueError, match="whole_groups"):
        PackedBatch(cut[0]).by_group(lambda own: own.max(), values)


def test_everything_moves_together_and_travels_between_processes() -> None:
    collator = pickle.loads(pickle.dumps(PackingCollator(MASKS, 10_000)))
    (part,) = collator(examples(LENGTHS), 64)
    moved = part.to("meta")
    tensors = [moved.pack.input_ids, moved.pack.cu_seq_lens, *moved.tensors.values()]
    tensors += [tensor for places in moved.places.values() for tensor in (places.positions, places.weights)]
    assert all(tensor.is_meta for tensor in tensors)
    assert moved.tensors.keys() == part.tensors.keys() and moved.groups == part.groups
