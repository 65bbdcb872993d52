"""Two halves of whole domains, against every way to colour the domains."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlm.data.insuranceqa import dealt_out


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 60), min_size=2))
def test_halves_are_as_even_as_can_be_and_whatever_the_order_of_the_domains_the_same(sizes: dict[str, int]) -> None:
    first, second = dealt_out(sizes)
    assert first and second and first | second == set(sizes) and not first & second
    assert max(sizes.values()) == max(sizes[domain] for domain in first)
    sums = [
        sum(size for size, side in zip(sizes.values(), way, strict=True) if side)
        for way in product((0, 1), repeat=len(sizes))
    ]
    best = min(abs(sum(sizes.values()) - 2 * one) for one in sums)
    assert abs(sum(sizes[domain] for domain in first) - sum(sizes[domain] for domain in second)) == best
    assert dealt_out(dict(reversed(sizes.items()))) == (first, second)


def test_of_equally_even_ways_the_first_by_name_is_taken() -> None:
    assert dealt_out({"a": 1, "b": 1, "big": 3, "c": 1, "d": 2}) == ({"big", "a"}, {"b", "c", "d"})


def test_one_domain_has_no_halves() -> None:
    with pytest.raises(ValueError, match="two domains, not 1"):
        dealt_out({"a": 1})
