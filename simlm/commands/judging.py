"""Judge by a rehearsed stage how long the same stage of the whole run will take."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from simlm.costs.sizes import sizes_of
from simlm.costs.work import UNKNOWN, work_of
from simlm.stages.data import TOKENISING, Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.runs import RunStage
from simlm.workflow.manifest import read_manifest, seconds_of
from simlm.workflow.plan import Planned
from simlm.workflow.stage import Stage, inputs_of


def judge(whole: Planned, part: Planned, trial: Planned | None, begin: float) -> float | None:
    """Return the seconds that a stage of the whole run will take, judging from its rehearsal; None where that failed.

    A training takes longer by its further updates; a search by what further passages take to encode, and its queries
    to be searched for; a collection by what further passages take to tokenise. Another stage takes so many times as
    long as it has more to do; where that is not known, as of BM25, nothing is said. What is short here was not yet at
    full speed: the whole may be faster.

    Args:
        whole: the stage.
        part: its rehearsal.
        trial: the stage that tried vectors of the whole collection.
        begin: seconds that a stage takes before it does anything.
    """
    config: Any = whole.config
    brief: Any = part.config
    numbers = numbers_of(part)
    if numbers is None or config is None or brief is None:
        return None
    seconds, all_work, work = seconds_here(part), work_of(config), work_of(brief)
    update = seconds_an_update(part.job)
    if update is not None:
        return seconds + (_updates(config) - _updates(brief)) * update
    if UNKNOWN in (all_work, work):
        return None
    if isinstance(config, Prepare):
        more = sizes_of(config).passages / sizes_of(brief).passages - 1
        return seconds + max(0.0, more) * numbers.get(TOKENISING, 0.0)
    searched = None if trial is None else numbers_of(trial)
    if searched and "search" in all_work.flop and numbers.get("passages_per_second"):
        all_sizes, sizes = sizes_of(config.data), sizes_of(brief.data)
        further = (all_sizes.passages - sizes.passages) / numbers["passages_per_second"]
        return seconds + further + sum(search_seconds(all_sizes.count([split]), searched) for split in config.splits)
    if not work.flop and not isinstance(config, EncoderStage) and not _stands_on_runs(config):
        return None
    amounts = (all_work.all_flop, work.all_flop) if work.flop else (all_work.disk_bytes, work.disk_bytes)
    ratio = amounts[0] / amounts[1] if amounts[1] else 1.0
    return begin + (seconds - begin) * max(1.0, ratio)


def search_seconds(queries: int, searched: Mapping[str, float]) -> float:
    """Return how long some queries of the whole take: all vectors are read once, then each query is multiplied."""
    first, several = searched["one_query_seconds"], searched["search_seconds"]
    each = max(0.0, several - first) / max(1, searched["queries"] - 1)
    return first + (queries - 1) * each if queries else 0.0


def _stands_on_runs(stage: Stage) -> bool:
    """Tell whether a stage is made from runs, as fusion and answers are."""
    return any(isinstance(one, RunStage) for one in inputs_of(stage).values())


def seconds_an_update(job: Path) -> float | None:
    """Return what an update of a training takes, without checkpoints and evaluations; None where none was trained.

    It is the median over the faster half of the updates but the first: between the others checkpoints are written.
    """
    folder = job / "tensorboard"
    if not folder.is_dir():
        return None
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # takes a second

    events = EventAccumulator(str(folder)).Reload()
    if "train/loss" not in events.Tags()["scalars"]:
        return None
    times = [one.wall_time for one in events.Scalars("train/loss")]
    gaps = sorted(after - before for before, after in zip(times, times[1:], strict=False))
    return median(gaps[: -(-len(gaps) // 2)]) if gaps else None


def _updates(training: Any) -> int:
    return int(training.settings.optimisation.steps)


def numbers_of(stage: Planned) -> dict[str, Any] | None:
    """Return the figures that a stage left; None where it is not finished."""
    return (read_manifest(stage.job) or {}).get("numbers")


def seconds_here(stage: Planned) -> float:
    """Return the seconds that a stage took; 0 where it is not finished."""
    return seconds_of(read_manifest(stage.job) or {})
