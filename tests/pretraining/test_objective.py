"""Finding an objective by name."""

import pytest

from simlm.errors import UserError
from simlm.pretraining.mlm import MaskedLM
from simlm.pretraining.objective import Objective, find_objective
from simlm.pretraining.replaced_lm import ReplacedLM


class Elsewhere(MaskedLM):
    """An objective that lives outside the core."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("replaced_lm", ReplacedLM), ("mlm", MaskedLM), ("tests.pretraining.test_objective:Elsewhere", Elsewhere)],
)
def test_found_by_name(name: str, expected: type[Objective]) -> None:
    found = find_objective(name)
    assert found.__qualname__ == expected.__qualname__
    assert issubclass(found, Objective)


@pytest.mark.parametrize(
    "name", ["", "nonsense", "two words", "simlm.pretraining.mlm:Nothing", "no.such.module:Class", ".relative:Class"]
)
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match="choose one of head-mlm, mlm, ordered-mlm, replaced_lm or give package"):
        find_objective(name)


@pytest.mark.parametrize("name", ["json", "simlm.pretraining.masking:WordPieces", "simlm.pretraining.masking:budget"])
def test_something_else_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not an objective"):
        find_objective(name)
