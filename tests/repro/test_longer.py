"""The longer trial: only the updates that it says are more, and the page has the figures of both lengths."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from repro import longer
from repro.command import Options
from repro.longer import COMPARED, ROWS, Trial, ask, longer_page
from simlm.stages.models import Pretrained
from simlm.workflow.plan import plan


def test_each_row_trains_four_times_as_long_and_nothing_else_changes(tmp_path: Path) -> None:
    trials: dict[str, Any] = {}
    options = Options(scale="smoke", results=tmp_path)
    stages, _ = plan(lambda submit: trials.update(ask(options, submit)), tmp_path)
    assert tuple(trials) == ROWS
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names) and not [
        name for name in names if name in ("BM25, 4 x", "generator (MLM), 4 x")
    ]
    for start, (usual, more) in trials.items():
        one, other = usual.retriever, more.retriever
        times = {"encoder": 1, "retriever": 1} | ({"retriever": 4} if start == "base" else {"encoder": 4})
        for part, before, after in (("encoder", one.start, other.start), ("retriever", one, other)):
            if start == "base" and part == "encoder":
                continue
            assert start == "base" or isinstance(one.start, Pretrained)
            first, second = before.settings.optimisation, after.settings.optimisation
            assert second.steps == times[part] * first.steps
            assert second.warmup_steps == times[part] * first.warmup_steps
            assert (second.learning_rate, second.seed) == (first.learning_rate, first.seed)


def test_the_page_has_both_lengths_and_the_claims_on_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    known = {
        (f"{start}{more}", split): pd.DataFrame({name: rng.random(50) for name in ("RR@10", "R@50")})
        for start in ROWS
        for more in ("", "+")
        for split in ("valid", "test")
    }
    monkeypatch.setattr(longer, "values_of", lambda run, names, split: known[run, split].sample(frac=1, random_state=1))
    monkeypatch.setattr(longer, "measure_on", lambda run, name, split: name)
    runs: Any = {start: Trial(start, f"{start}+") for start in ROWS}  # type: ignore[arg-type]
    rows, claims = longer_page("mini", runs).sections
    assert len(rows.rows) == len(ROWS) * 4 and len(claims.rows) == len(COMPARED) * 2 and len(COMPARED) >= 4
    line = next(
        one for one in rows.rows if (one["longer"], one["split"], one["measure"]) == ("fine-tuning", "test", "R@50")
    )
    before, after = (known[run, "test"]["R@50"] for run in ("base", "base+"))
    assert (line["1 x"], line["4 x"]) == pytest.approx((before.mean(), after.mean()))
    assert line["change"] == f"{(after - before).mean():+.4f}"
    error = 2.0096 * (after - before).std() / 50**0.5
    assert line["change, 95 %"] == f"[{(after - before).mean() - error:+.4f}, {(after - before).mean() + error:+.4f}]"
    claim = next(one for one in claims.rows if one["claim"] == "Replaced LM beats no further pre-training.")
    difference = known["simlm+", "valid"]["RR@10"].mean() - known["base+", "valid"]["RR@10"].mean()
    assert claim["split"] == "valid" and claim["4 x"] == f"{difference:+.4f}"
