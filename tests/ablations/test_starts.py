"""What is said of objectives where none is imported."""

import pytest

from ablations import starts
from simlm.costs.work import PACKED_OBJECTIVES
from simlm.pretraining import objective


@pytest.mark.parametrize("name", [*objective.OBJECTIVES, *starts.OBJECTIVES.values(), starts.JOINT, starts.RTD])
def test_costs_know_which_objectives_are_packed(name: str) -> None:
    packable = issubclass(objective.find_objective(name), objective.PackableObjective)
    assert packable == (name in PACKED_OBJECTIVES)
