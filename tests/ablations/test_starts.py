"""What starts say of objectives without importing them is what the classes say."""

import pytest

from ablations import starts
from simlm.costs.work import PADDED_OBJECTIVES
from simlm.pretraining import objective

ABLATIONS = [one.path for one in starts.COMPARED.values()]


@pytest.mark.parametrize("name", [*objective.OBJECTIVES, *ABLATIONS, starts.JOINT, starts.RTD])
def test_costs_know_which_objectives_are_padded(name: str) -> None:
    packable = issubclass(objective.find_objective(name), objective.PackableObjective)
    assert packable == (name not in PADDED_OBJECTIVES)
