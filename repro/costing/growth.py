"""How encoding, searching and what they leave grow with a collection."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.growth.report import bytes_each
from simlm.costs.arithmetic import BERT_BASE, layers_flop
from simlm.costs.needs import size
from simlm.costs.sizes import MS_MARCO
from simlm.costs.throughput import Throughput
from simlm.costs.work import PASSAGE_BYTES, TOKEN_BYTES
from simlm.errors import UserError

PASSAGES = (1_000_000, 8_841_823, 21_015_324, 100_000_000, 1_000_000_000)
"""A million, MS MARCO, DPR's Wikipedia, and two that the paper has not."""
QUERIES = 6_980
MEASURED = Path(__file__).parents[2] / "reports" / "growth.json"
"""What `python -m repro.growth` published."""


def growth_costs(throughput: Throughput, gpus: int) -> list[str]:
    """A row a number of passages as long as MS MARCO's, in BERT-base's 768 dimensions."""
    lines = [
        "| passages | tokens on disk | memory to tokenise | vectors, float32 | float16 | encode, 1 GPU | "
        f"{gpus} GPUs | search {QUERIES:,} queries, 1 GPU | {gpus} GPUs |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    width = BERT_BASE.hidden
    first, last, tokenising = _memory("tokenise")
    for passages in PASSAGES:
        sizes = replace(MS_MARCO, passages=passages)
        stored = (TOKEN_BYTES * sizes.passage(512).mean + PASSAGE_BYTES) * passages
        encode = throughput.seconds({"encode": layers_flop(BERT_BASE, passages, sizes.passage(144))}) / 60
        search = throughput.seconds({"search": 2.0 * QUERIES * passages * width})
        cells = [size(one * passages) for one in (tokenising, 4 * width, 2 * width)]
        cells += [f"{one:,.1f} min" for one in (encode, encode / gpus)]
        cells += [f"{one:,.2f} s" for one in (search, search / gpus)]
        lines.append(f"| {passages:,} | {size(stored)} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Beside a batch, tokenising takes {tokenising:.1f} bytes of memory a passage and encoding "
        f"{_memory('encode')[2]:.1f} a passage of its shard, as measured from {first:,} to {last:,} passages "
        "([growth](../reports/growth.md)).",
    ]


def _memory(step: str) -> tuple[int, int, float]:
    """What a step's memory grew by, as `bytes_each` has it, as published; UserError where that cannot say."""
    report = json.loads(MEASURED.read_text(encoding="utf-8"))
    results = [one for one in report["results"] if one["task"] == step]
    if len(results) < 2:
        raise UserError(
            f"{MEASURED} measures {step} at fewer than two sizes, so that no growth shows: "
            "measure again with `python -m repro.growth --publish`, without --largest"
        )
    return bytes_each(results)


def query_costs(throughput: Throughput) -> list[str]:
    """A row a number of queries over MS MARCO: search, the run's file, re-ranking 200 passages of each."""
    lines = ["| queries | search, 1 GPU | run to depth 1,000 | re-rank 200 each, 1 GPU |", "|---:|---:|---:|---:|"]
    pair = MS_MARCO.pair(192)
    for queries in (QUERIES, 100_000, 502_939):
        search = throughput.seconds({"search": 2.0 * queries * MS_MARCO.passages * BERT_BASE.hidden})
        rerank = throughput.seconds({"rerank": layers_flop(BERT_BASE, 200.0 * queries, pair)}) / 60
        lines.append(f"| {queries:,} | {search:,.1f} s | {size(12.0 * 1_000 * queries)} | {rerank:,.1f} min |")
    return lines
