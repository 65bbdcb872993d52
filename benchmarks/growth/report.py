"""growth.md from growth.json."""

from collections.abc import Sequence
from typing import Any

from benchmarks.outcome import made_by

SAID = {
    "tokenise": "Passages generated one after the other, tokenised into the store that every stage reads. Beside a "
    "batch, memory holds 8 bytes a passage, by which ids that come twice are found, and 32 while these are sorted.",
    "encode": "The store to vectors, by a BERT of one layer and 64 dimensions with random weights. Beside a batch, "
    "memory holds the lengths and the order of a shard, of a million passages at most.",
    "search": "The 100 best of all vectors for 64 queries. Memory holds a block of at most 32,768 passages.",
}


def markdown(report: dict[str, Any]) -> str:
    """The whole page."""
    lines = [
        "# Growth with the collection",
        "",
        made_by(report),
        "",
        f"- Machine: {report['machine']}.",
        "- Passages are synthetic, with MS MARCO's lengths as assumed in `benchmarks/passages.py`.",
        "- Each step of each size is a process of its own. Its memory is what it allocated beyond what it had after",
        "  its imports; pages of mapped files, which the system takes back when it needs them, are in the last column",
        "  only.",
        "",
    ]
    for task in dict.fromkeys(one["task"] for one in report["results"]):
        results = [one for one in report["results"] if one["task"] == task]
        lines += [f"## {task}", "", SAID[task], "", *_rows(results), "", *_growth(results), ""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| passages | seconds | passages a second | memory, MB | with mapped files, MB |",
        "|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        cells = [f"{one['seconds']:.1f}", f"{one['passages'] / one['seconds']:,.0f}"]
        cells += [f"{count / 1e6:,.0f}" for count in (added(one), one["peak_rss_bytes"])]
        lines.append(f"| {one['passages']:,} | {' | '.join(cells)} |")
    return lines


def _growth(results: list[dict[str, Any]]) -> list[str]:
    if len(results) < 2:
        return []
    first, last, each = bytes_each(results)
    return [f"From {first:,} to {last:,} passages: {each:,.1f} bytes for each one more."]


def bytes_each(results: Sequence[dict[str, Any]]) -> tuple[int, int, float]:
    """The passages of the two largest collections of a step, and the bytes that one passage more took between them.

    ``results`` are at least two, by size.
    """
    first, last = results[-2:]
    sizes = first["passages"], last["passages"]
    return *sizes, max(0.0, (added(last) - added(first)) / (sizes[1] - sizes[0]))


def added(result: dict[str, Any]) -> int:
    """The bytes that a step took beyond what its process had before."""
    difference: int = result["own_bytes"] - result["own_bytes_before"]
    return difference
