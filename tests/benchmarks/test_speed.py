"""Each way that `python -m repro.bench` measures, at mini's size on a CPU, once; under pytest-benchmark with times.

`python -m pytest tests/benchmarks --benchmark-enable --benchmark-group-by=param:task` prints the ways of a task, with
ratios. Nothing is asserted about time: machines differ.
"""

from functools import cache
from importlib import import_module
from typing import Any

import pytest
import torch

from benchmarks.speed.command import TASKS
from benchmarks.speed.measure import Machine, Way

WAYS = {
    "pretrain": ("padded by length", "straightforward"),
    "finetune": ("padded by length", "straightforward"),
    "encode": ("padded by length", "straightforward", "sentence-transformers"),
    "search": ("tiled", "straightforward", "faiss"),
    "rerank": ("padded by length", "straightforward"),
}
OPTIONAL = ("sentence-transformers", "faiss")


@cache
def ways(task: str) -> dict[str, Way]:
    machine = Machine(torch.device("cpu"), quick=True)
    module = import_module(f"benchmarks.speed.{TASKS[task]}")
    return {way.name: way for way in getattr(module, task)(machine)}


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in WAYS.items() for name in names])
def test_speed(benchmark: Any, task: str, name: str) -> None:
    found = ways(task)
    assert set(WAYS[task]) - set(OPTIONAL) <= set(found) <= set(WAYS[task])
    if name not in found:
        pytest.skip(f"{name} is not installed")
    benchmark.pedantic(found[name].make().work, rounds=5, iterations=1, warmup_rounds=1)
    assert {(way.units, way.flop) for way in found.values()} == {(found[name].units, found[name].flop)}
