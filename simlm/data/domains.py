"""Two halves of a collection whose questions have domains: what Table 10 has for corpora below paper scale.

The rule. A passage belongs to the domain of the first question that it answers, in the order train, valid, test (13 of
InsuranceQA's 27,413 passages answer questions of two domains; every passage answers one). A half is made of whole
domains. Of all ways to deal the domains out to two halves, the one is taken whose halves differ least in their number
of passages; of equally good ones the first, by the names of the domains that go with the largest one.
"""

from collections.abc import Iterable, Mapping
from itertools import chain, combinations

HALVES = ("life", "auto")
"""The halves' names, each that of its largest domain: `life-insurance`, the largest of all, and `auto-insurance`."""


def passage_domains(questions: Iterable[tuple[str, Iterable[str]]]) -> dict[str, str]:
    """The domain of every passage that a question has; `questions` are (domain, relevant passages) in order."""
    found: dict[str, str] = {}
    for domain, relevant in questions:
        for passage in relevant:
            found.setdefault(passage, domain)
    return found


def halves(sizes: Mapping[str, int]) -> tuple[frozenset[str], frozenset[str]]:
    """The domains of the two halves, the largest domain's first, from the number of passages of every domain.

    ValueError for fewer than two domains. Tries all 2^(n - 1) ways: meant for a dozen domains.
    """
    if len(sizes) < 2:
        raise ValueError(f"two halves of whole domains need two domains, not {len(sizes)}")
    total = sum(sizes.values())
    largest, *others = sorted(sizes, key=lambda domain: (-sizes[domain], domain))
    others.sort()
    ways = chain.from_iterable(combinations(others, count) for count in range(len(others)))

    def difference(way: tuple[str, ...]) -> int:
        return abs(total - 2 * (sizes[largest] + sum(sizes[domain] for domain in way)))

    best = min(ways, key=lambda way: (difference(way), way))
    first = frozenset((largest, *best))
    return first, frozenset(sizes) - first
