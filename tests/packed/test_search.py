"""Search over vectors on the device: what sorting all scores gives."""

import pytest
import torch

from simlm.packed.search import COLUMNS, search_resident, tile_best


@pytest.mark.parametrize(("passages", "k", "tile"), [(7, 10, 4), (5_000, 20, 2_048), (5_003, 7, 1_000)])
def test_against_a_full_sort(passages: int, k: int, tile: int) -> None:
    torch.manual_seed(0)
    queries, vectors = torch.randn(9, 16), torch.randn(passages, 16)
    scores, indices = search_resident(queries, lambda start, stop: vectors[start:stop], passages, k, tile, rows=4)
    wanted = (queries.double() @ vectors.double().t()).sort(dim=1, descending=True, stable=True)
    found = min(k, passages)
    assert torch.equal(indices[:, :found], wanted.indices[:, :found])
    assert torch.allclose(scores[:, :found].double(), wanted.values[:, :found], atol=1e-5)
    assert (indices[:, found:] == -1).all() and torch.isinf(scores[:, found:]).all()


def test_equal_scores_come_by_index() -> None:
    vectors = torch.ones(6, 4)
    _, indices = search_resident(torch.ones(2, 4), lambda start, stop: vectors[start:stop], 6, 6, tile=2)
    assert indices.tolist() == [[0, 1, 2, 3, 4, 5]] * 2


def test_the_best_of_a_wide_tile_may_share_a_group() -> None:
    scores = torch.randn(3, 100 * COLUMNS)
    scores[0, 5 * COLUMNS : 6 * COLUMNS] += 100
    values, columns = tile_best(scores, 40)
    assert torch.equal(values.sort(dim=1, descending=True).values, scores.topk(40, dim=1).values)
    assert torch.equal(scores.gather(1, columns), values)
