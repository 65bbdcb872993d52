"""`python -m repro.bench`: its options, what it refuses, and the page it makes of a measurement."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks import passages
from benchmarks.speed import pretraining
from benchmarks.speed.command import TASKS, main, parser, run
from benchmarks.speed.inference import as_stages
from benchmarks.speed.measure import GROUPS, Machine, Made, Way, profiled
from benchmarks.speed.models import MINI
from benchmarks.speed.report import against, markdown
from simlm.costs.model import Model
from simlm.data.inputs import Encoded, batch_inputs
from simlm.packed.layouts import Inference
from simlm.packed.pack import Pack, Packer, full_parts
from simlm.packed.texts import Packed
from simlm.pretraining import replaced_lm
from simlm.scales import open_scale

CPU = Machine(torch.device("cpu"), quick=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sing"], "unknown task 'sing': choose of pretrain"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--publish", "--quick"], "--publish is for everything"),
        (["--out", "setup.cfg/below"], "--out setup.cfg/below"),
        (["--out", ""], "--out: an empty text is given"),
        (["--tunes"], "error: unrecognized arguments: --tunes; --help lists every option"),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, leaves) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.cfg").touch()
    status, line = leaves(main, *arguments)
    assert status == 2 and message in line


def test_it_needs_nothing_that_a_machine_with_a_gpu_may_lack() -> None:
    code = "import sys, repro.bench" + "".join(
        f", benchmarks.speed.{module}" for module in sorted({*TASKS.values(), "report"})
    )
    code += "; print([name for name in ('tyro', 'experimaestro', 'ir_datasets', 'faiss') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_measurement_becomes_json_and_a_page(tmp_path, monkeypatch, capsys) -> None:
    def task(machine: Machine) -> Iterator[Way]:
        assert machine == CPU
        for name in ("tiled", "straightforward"):
            yield Way("search", name, "3 queries", lambda: Made(dict, "at once", {"passages": 2}), 3, 6.0, "queries")

    monkeypatch.setattr("benchmarks.speed.search.search", task)
    monkeypatch.setattr("simlm.costs.throughput.matrix_peak", lambda device: 1e12)
    run(parser().parse_args(["search", "--quick", "--device", "cpu", "--out", str(tmp_path)]))
    report = json.loads((tmp_path / "performance-cpu.json").read_text())
    assert [result["way"] for result in report["results"]] == ["tiled", "straightforward"]
    assert all(len(result["seconds"]) == 3 and result["rate"] > 0 for result in report["results"])
    assert all(result["what"] == "3 queries; at once" and result["more"] for result in report["results"])
    page = (tmp_path / "performance-cpu.md").read_text()
    assert page == markdown(report)
    assert "## search" in page and report["machine"]["torch"] in page and report["date"] in page
    assert "search" in capsys.readouterr().out


MACHINE = {"device": "a", "threads": 2, **dict.fromkeys(("python", "torch", "transformers", "numpy"), "1")}
SOURCE = {"implementation": {"source": {"commit": None, "dirty": None}}}
REPORT = {"command": "c", "date": "d", "gpu": True, "machine": MACHINE, "peak_flop_per_second": 1e12}
REPORT |= {"provenance": SOURCE}


def test_what_did_not_fit_is_said() -> None:
    result = {"task": "finetune", "way": "straightforward", "what": "w", "error": "out of memory", "more": {}}
    page = markdown(REPORT | {"results": [result | {"seconds": []}]})
    assert "out of memory" in page and "commit unknown" in page


def test_results_in_the_targets_terms() -> None:
    ours = {"way": "packed", "median_seconds": 2.0, "units": 5, "flop": 1.0, "more": {"passages": 1_000}}
    other = ours | {"way": "straightforward", "median_seconds": 6.0}
    assert against(ours, [ours, other]) == ["3.00x straightforward", "8.84M passages would take 4.9 h"]


def test_a_series_is_a_table_of_its_own() -> None:
    figures = {"rate": 5.0, "tflop_per_second": 1.0, "share_of_peak": 0.5, "memory_gb": None, "unit": "tokens"}
    one = {"task": "pretrain", "way": "packed", "what": "w", "error": None, "more": {}, "units": 1, "flop": 1.0}
    one |= figures | {"median_seconds": 2.0, "seconds": [2.0]}
    results = [one, one | {"way": "straightforward"}]
    results += [one | {"varied": "passages an update", "at": at, "way": "packed"} for at in (512, 2_048)]
    page = markdown(REPORT | {"results": results})
    assert page.count("| straightforward |") == 1 and "| 2,048 | 2.0000 | 5 tokens | 1 | 50.0% | – | w |" in page
    assert page.index("measured against target") < page.index("| passages an update | seconds |")


def test_both_ways_to_pre_train_read_the_same_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[bytes]] = []

    def noted(rows: list[Encoded], *rest: Any, **named: Any) -> dict[str, torch.Tensor]:
        read[-1] += [ids.tobytes() for ids, _ in rows]
        return batch_inputs(rows, *rest, **named)

    for module in (pretraining, replaced_lm):
        monkeypatch.setattr(module, "batch_inputs", noted)
    updates = pretraining.drawn(CPU, 4)
    for make in (pretraining.own_pretraining, pretraining.plain_pretraining):
        read.append([])
        made = make(CPU, updates)
        made.work()
    expected = sorted(ids.tobytes() for batch in updates.batches for ids, _ in batch)
    assert [sorted(one) for one in read] == [expected] * 2 and "padded to 144 tokens" in made.how
    assert updates.tokens == sum(len(ids) // 4 for ids in expected)  # of int32


def test_synthetic_passages_have_the_lengths_that_they_say() -> None:
    counts = passages.passage_lengths(100_000, 0)
    assert 73 < counts.mean() < 77 and counts.max() == passages.LONGEST
    rows = passages.pairs(500, 1_000)
    assert max(len(ids) for ids, _ in rows) <= passages.LONGEST_PAIR and all(types[-1] == 1 for _, types in rows)


def test_mini_is_the_scale_mini() -> None:
    scale = open_scale("mini")
    for config, settings in ((MINI.encoder, scale.encoder), (MINI.generator, scale.generator)):
        assert config.num_attention_heads == settings.heads and config.vocab_size == scale.vocabulary
        sizes = Model.of(config.to_dict())
        assert (sizes.layers, sizes.hidden, sizes.embedding, sizes.intermediate) == (
            settings.layers,
            settings.hidden,
            settings.hidden,
            settings.intermediate,
        )


def test_packs_read_every_text_once() -> None:
    rows, read = passages.passages(200, 1_000), []

    def output(one: Pack) -> torch.Tensor:
        assert one.tokens <= 1_000
        read.append(one.input_ids[0])
        return one.input_ids[0]

    cpu = torch.device("cpu")
    as_stages(Inference(output, Packed(Packer(passages.SPECIALS.pad, 1_000, cut=full_parts)), cpu), rows).work()
    assert len(read) > 10
    assert sorted(torch.cat(read).tolist()) == sorted(token for ids, _ in rows for token in ids.tolist())


def test_a_profile_puts_each_operator_into_one_group() -> None:
    one = torch.ones(64, 64)
    found = profiled(CPU, Made(lambda: (one @ one).exp(), "once"))
    assert found["groups_ms"].keys() == {*(name for name, _ in GROUPS), "other"}
    assert sum(found["groups_ms"].values()) == pytest.approx(found["total_ms"])
    assert found["groups_ms"]["matrix products"] > 0 and found["groups_ms"]["other"] > 0
