"""The precision of stages: what chooses it, what it changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from repro.command import Options
from simlm.commands import machine, origin
from simlm.commands.machine import chosen_precision
from simlm.scales import open_scale
from simlm.scales.scale import BFLOAT16, FLOAT32
from simlm.stages.computing import ComputingStage
from simlm.stages.pipeline import Pipeline
from simlm.training.plan import Plan, training_arguments
from simlm.workflow.plan import plan


@pytest.mark.parametrize(
    ("wanted", "usual", "fast", "gpu", "chosen"),
    [
        ("auto", BFLOAT16, True, False, BFLOAT16),
        ("auto", BFLOAT16, False, True, BFLOAT16),
        ("auto", BFLOAT16, False, False, FLOAT32),
        ("auto", FLOAT32, True, True, FLOAT32),
        (FLOAT32, BFLOAT16, True, True, FLOAT32),
        (BFLOAT16, FLOAT32, False, False, BFLOAT16),
    ],
)
def test_what_chooses_the_precision(
    wanted: str, usual: str, fast: bool, gpu: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_bfloat16", lambda: fast)
    assert chosen_precision(wanted, usual, lambda: gpu) == chosen


@pytest.mark.parametrize(
    ("field", "value", "has"),
    [
        ("flags", "fma avx512_bf16", True),
        ("flags", "fma avx512f", False),
        ("Features", "fp bf16", True),
        ("", "", False),
    ],
)
def test_the_processor_says_what_it_can(field: str, value: str, has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "_cpu_field", lambda name: value if name == field else "")
    assert origin.has_bfloat16() is has


def test_the_precision_counts_in_the_identity_of_stages_that_compute(tmp_path: Path) -> None:
    def made(precision: str) -> dict[str, Any]:
        def build(submit: Any) -> Any:
            pipeline = Pipeline(replace(open_scale("smoke"), precision=precision), 0, submit)
            return pipeline.retrieve(pipeline.retriever(pipeline.simlm, pipeline.package_lists("n"), "r"), "runs")

        stages, _ = plan(build, tmp_path)
        return {stage.name: (stage.job.name, stage.config) for stage in stages}

    one, other = made(FLOAT32), made(BFLOAT16)
    assert one.keys() == other.keys()
    computing = {name for name, (_, stage) in one.items() if isinstance(stage, ComputingStage)}
    assert {"SimLM pre-training", "r", "runs"} <= computing
    assert {name for name in one if one[name][0] != other[name][0]} == computing


@pytest.mark.parametrize("half", [True, False])
def test_a_plan_trains_in_its_precision(half: bool, tmp_path: Path) -> None:
    plan_ = Plan(3, 2, 1e-3, 1, 0, half=half)
    assert training_arguments(plan_, tmp_path, False, torch.device("cpu")).bf16 is half


def test_a_report_in_a_precision_that_was_asked_for_has_folders_of_its_own() -> None:
    asked = Options(precision=FLOAT32)
    assert (asked.variant, asked.published_in) == (FLOAT32, "mini-float32")
    assert (Options().variant, Options().published_in) == ("", "mini")
    assert asked.open_scale().precision == FLOAT32
