"""performance.md from performance.json: every figure beside its target."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.outcome import made_by

TARGETS: Mapping[str, str] = {
    "pretrain": "half of the peak, 80,000 updates in 8 h; 4x straightforward",
    "finetune": "40 % of the peak",
    "encode": "8.84M passages in 5 minutes; 3x sentence-transformers",
    "search": "6,980 queries over 8.84M x 768 in 5 s",
    "rerank": "half of the peak",
}
"""For one H100; on a CPU with bfloat16, with a mini model: those of ``CPU_TARGETS``."""
CPU_TARGETS: Mapping[str, str] = {
    "pretrain": "5x straightforward",
    "encode": "6x straightforward; 1.3x sentence-transformers",
}
OWN = ("packed", "tiled", "padded by length")
"""What this project does; the other ways are for comparison."""
MS_MARCO, RERANKED = 8_841_823, 6_980 * 200


def markdown(report: dict[str, Any]) -> str:
    """Return the whole page."""
    machine = report["machine"]
    lines = [
        "# Performance",
        "",
        made_by(report),
        "",
        *_machine(machine, report["peak_flop_per_second"]),
        "",
        *_assumptions(report["gpu"], report["machine"].get("precision", "float32")),
        "",
    ]
    for task in dict.fromkeys(result["task"] for result in report["results"]):
        results = [result for result in report["results"] if result["task"] == task]
        lines += [f"## {task}", "", *_task(task, results, report["gpu"]), ""]
    if report.get("profile"):
        lines += _profile(report["profile"])
    return "\n".join(lines).rstrip() + "\n"


def _machine(machine: Mapping[str, Any], peak: float) -> list[str]:
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "transformers", "numpy"))
    memory = f", {machine['memory_gb']} GB" if "memory_gb" in machine else f", {machine['threads']} threads"
    return [
        f"- Machine: {machine['device'] or 'unnamed processor'}{memory}; {versions}.",
        f"- Peak: {peak / 1e12:,.2f} TFLOP/s, the median of a large matrix product measured in the same run.",
    ]


def _assumptions(gpu: bool, precision: str) -> list[str]:
    models = (
        "BERT-base, an ELECTRA-base generator and 30,522 words, random weights, bfloat16 autocast over float32 weights"
        if gpu
        else f"the mini scale's models, random weights; ours in {precision}, the straightforward way in float32"
    )
    return [
        f"Models: {models}. Texts are synthetic, with MS MARCO's lengths as assumed in `benchmarks/passages.py`:",
        "log-normal, about 75 tokens of at most 144. Tokens are real ones, and so is the arithmetic: what padding",
        "costs counts for nothing. Pre-training's updates are of passages at random, as stages draw them, for both",
        "ways alike. Times are medians after a warm-up." + (" Targets were set for one H100." if gpu else ""),
    ]


def _task(task: str, results: Sequence[Mapping[str, Any]], gpu: bool) -> list[str]:
    target = (TARGETS if gpu else CPU_TARGETS).get(task, "")
    compared = [result for result in results if not result.get("varied")]
    lines = [
        "| way | seconds | rate a second | TFLOP/s | of peak | peak memory | measured against target | target |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for result in compared:
        own = result["way"] in OWN
        beside = ["; ".join(against(result, compared)) if own and "rate" in result else "", target if own else ""]
        lines.append("| " + " | ".join([result["way"], *_figures(result), *beside]) + " |")
    lines += ["", *(f"- {result['way']}: {result['what']}{_more(result)}." for result in compared)]
    for varied in dict.fromkeys(result["varied"] for result in results if result.get("varied")):
        lines += ["", *_series(varied, [result for result in results if result.get("varied") == varied])]
    return lines


def _figures(result: Mapping[str, Any]) -> list[str]:
    """Return the cells of a measurement: seconds, rate, TFLOP/s, share of the peak, memory."""
    if "rate" not in result:
        return [result["error"] or "not measured", "", "", "", ""]
    return [
        f"{result['median_seconds']:.4f}",
        f"{result['rate']:,.0f} {result['unit']}",
        f"{result['tflop_per_second']:.4g}",
        f"{result['share_of_peak']:.1%}",
        f"{result['memory_gb']:.1f} GB" if result["memory_gb"] is not None else "–",
    ]


def _series(varied: str, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a table of how speed scales."""
    lines = [
        f"| {varied} | seconds | rate a second | TFLOP/s | of peak | peak memory | what |",
        "|---:|---:|---:|---:|---:|---:|---|",
    ]
    for result in results:
        lines.append("| " + " | ".join([f"{result['at']:,}", *_figures(result), result["what"]]) + " |")
    return lines


def against(result: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what was measured, in the targets' terms."""
    said = [
        f"{other['median_seconds'] / result['median_seconds']:.2f}x {other['way']}"
        for other in others
        if other["way"] in ("straightforward", "sentence-transformers")
        and other.get("median_seconds")
        and other["units"] == result["units"]
        and other["flop"] == result["flop"]
    ]
    each = {
        "passages": ("8.84M passages", MS_MARCO),
        "pairs": ("6,980 x 200 pairs", RERANKED),
        "updates": ("80,000 updates", 80_000),
    }
    for name, (what, count) in each.items():
        if name in result["more"]:
            needed = count / result["more"][name] * result["median_seconds"]
            said.append(f"{what} would take " + (f"{needed / 3_600:.1f} h" if needed > 7_200 else f"{needed:,.0f} s"))
    return said


def _more(result: Mapping[str, Any]) -> str:
    rates = {name: value for name, value in result["more"].items() if name.endswith("_by_one_core")}
    return "".join(f"; {name.replace('_', ' ')}: {value:,.0f}" for name, value in rates.items())


def _profile(profile: Mapping[str, Any]) -> list[str]:
    total = profile["total_ms"] or 1.0
    lines = ["## Where a pre-training step goes", "", "| what | ms | share |", "|---|---:|---:|"]
    for name, spent in sorted(profile["groups_ms"].items(), key=lambda pair: -pair[1]):
        lines.append(f"| {name} | {spent:.2f} | {spent / total:.1%} |")
    lines += ["", "The longest, summed over their calls:", "", "| kernel or operator | ms | share |", "|---|---:|---:|"]
    for name, spent in profile["top_ms"].items():
        lines.append(f"| `{name.replace('|', ' ')}` | {spent:.2f} | {spent / total:.1%} |")
    return lines
