"""Where a report comes from: the stages it stands on, what they cost, and its provenance."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.facts import StageFacts
from reports.page import Page
from reports.provenance import provenance
from repro import training_diagnostics
from repro.command import Options
from repro.run_values import SPLIT
from simlm.data.catalogue import MSMARCO, NQ, halves
from simlm.scales import Scale, lacks_minilm, open_scale
from simlm.scales.minilm import INSTALL, REPOSITORY
from simlm.stages.data import Prepare, stored
from simlm.stages.reranker import TrainReranker
from simlm.workflow.manifest import outputs_digest, read_manifest, seconds_of
from simlm.workflow.plan import Planned, ancestors, job_of
from simlm.workflow.stage import Stage


@dataclass(frozen=True)
class StageResults:
    """The stages of a command, made now or found made, with their manifests by folder."""

    stages: Sequence[Planned]
    manifests: Mapping[Path, dict[str, Any]]

    @classmethod
    def of(cls, stages: Sequence[Planned]) -> "StageResults":
        """Return the stages of a plan with their manifests from the disk."""
        names = Counter(stage.name for stage in stages)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"two stages are called {twice[0]!r}: a report tells stages by their names")
        return cls(stages, {stage.job: read_manifest(stage.job) or {} for stage in stages})

    def numbers(self, stage: Stage) -> dict[str, Any]:
        """Return the numbers that a stage's `run` left."""
        numbers: dict[str, Any] = self.manifests[job_of(stage)]["numbers"]
        return numbers

    def names(self) -> dict[Path, str]:
        """Return what readers call each stage, by its folder."""
        return {stage.job: stage.name for stage in self.stages}

    def facts(self) -> list[StageFacts]:
        """Return what a report says of each stage."""
        return [_facts(stage, self.manifests[stage.job]) for stage in self.stages]

    def prepared(self, collection: str) -> Prepare:
        """Return a stage that tokenised a collection, which is named as in a configuration."""
        found = (stage.config for stage in self.stages if isinstance(stage.config, Prepare))
        return next(one for one in found if one.collection == collection)

    def identities(self) -> dict[str, dict[str, Any]]:
        """Return what made each stage, by its name.

        These are its class and version, its settings (`identifier` is their hash), the fingerprints of the data below
        it, its outputs, the commit, and a digest of the code that it ran. Stages that an older version made have no
        such digest.
        """
        found = {}
        for stage in self.stages:
            manifest = self.manifests[stage.job]
            data = {str(stored(one.job)["fingerprint"]) for one in ancestors(stage) if isinstance(one.config, Prepare)}
            found[stage.name] = {
                "class": manifest["stage"],
                "version": manifest["version"],
                "identifier": stage.job.name,
                "data": sorted(data),
                "outputs": outputs_digest(manifest),
                "commit": manifest["commit"],
            } | {name: manifest[name] for name in ("modules", "sources") if name in manifest}
        return found

    def runs(self) -> dict[str, str]:
        """Return the sha256 of the run file of every stage that has one, by the stage's name."""
        outputs = {stage.name: self.manifests[stage.job]["outputs"] for stage in self.stages}
        return {name: files[f"{SPLIT}.run"]["sha256"] for name, files in outputs.items() if f"{SPLIT}.run" in files}


def _facts(stage: Planned, manifest: dict[str, Any]) -> StageFacts:
    attempts = manifest.get("attempts", [])
    energy = [attempt["energy_joules"] for attempt in attempts if attempt.get("energy_joules") is not None]
    return StageFacts(
        name=stage.name,
        identifier=stage.job.name,
        seconds=seconds_of(manifest),
        tokens_per_second=_tokens_per_second(manifest["numbers"]),
        peak_memory_bytes=max((attempt["peak_bytes"] for attempt in attempts), default=None),
        energy_joules=sum(energy) if energy else None,
        attempts=len(attempts),
        state="finished" if stage.finished else str(stage.reason),
        reused=stage.reused,
    )


def _tokens_per_second(numbers: dict[str, Any]) -> float | None:
    if numbers.get("tokens_per_second") is not None:
        return float(numbers["tokens_per_second"])
    if "encode_seconds" in numbers:
        return float(numbers["tokens"] / numbers["encode_seconds"])
    return None


def cost(stages: Sequence[StageFacts], seconds: float) -> str:
    """Return in words what a command took: the work of its stages, and its own wall time in seconds."""
    work = sum(stage.seconds or 0.0 for stage in stages)
    peak = max((stage.peak_memory_bytes or 0 for stage in stages), default=0)
    return (
        f"This command ran {seconds / 60:.1f} minutes; its stages took {work / 60:.1f} minutes of work in all, "
        f"interrupted attempts included. The largest process held {peak / 1e9:.2f} GB."
    )


def without_minilm(options: Options, stages: Iterable[Stage | None]) -> list[str]:
    """Say what a command's re-ranker starts from because the public model is not on this machine; [] where it is."""
    if not lacks_minilm(options.open_scale()) or not any(isinstance(one, TrainReranker) for one in stages):
        return []
    return [
        f"{REPOSITORY}, from which the {options.scale} scale's re-ranker starts, is not on this machine ({INSTALL}): "
        "it starts from SimLM instead."
    ]


def warnings(options: Options, stages: Iterable[Stage | None]) -> list[str]:
    """Return what a reader must know before the first figure, which stands on some stages."""
    found = without_minilm(options, stages)
    if options.rehearse:
        found.append("This is a rehearsal, on a part of the collection: its figures mean nothing.")
    if options.scale == "smoke":
        found.append("The smoke scale is for tests: its figures mean nothing.")
    if options.trains:
        found += _settings_elsewhere(options)
    if options.negatives != "bm25":
        found.append(
            "Retriever1 was trained on the negatives that come with the collection; the paper's figures beside it are "
            "for BM25's."
        )
    if options.rows:
        found.append("Only some rows of the table were asked for.")
    if options.seed:
        found.append(f"Seed {options.seed} was added to every seed of the scale.")
    return found


def _settings_elsewhere(options: Options) -> list[str]:
    """Return a warning where the settings in force were chosen for another collection."""
    scale = open_scale(options.scale, options.collection)
    if scale.collection == NQ.name:
        if scale.by_answers:
            return []
        return [
            "Natural Questions are trained on as MS MARCO is, with the scale's settings: the paper's own procedure for "
            "them (200k updates of pre-training, longer passages, both sets of negatives in one, a rising multiplier "
            "of the similarities) is in force at paper scale alone."
        ]
    if options.collection and scale.has_papers_models:
        if scale.collection in (MSMARCO.name, MSMARCO.layout):
            return []
        return ["This collection is not the one that the scale's hyper-parameters, the paper's for MS MARCO, are for."]
    if options.collection and not halves(scale.collection):
        return [
            "This collection is the reader's own. What was chosen among the scale's hyper-parameters was chosen on "
            "InsuranceQA, with its valid questions, and not on this collection."
        ]
    return []


def origin(
    name: str,
    options: Options,
    facts: Sequence[StageFacts],
    data: Mapping[str, Mapping[str, str]],
    method: Mapping[str, Any],
    measures: Sequence[str] = (),
    baselines: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the provenance of a report.

    Args:
        name: The report's name, which is also its module's in `repro`.
        options: The options of the command.
        facts: What the stages cost that the report stands on.
        data: What `data_of` says of the collections that were searched; nothing where none was read.
        method: What is said beside seeds and precision: what made the stages, the digests of runs.
        measures: What was measured; empty where nothing was tested.
        baselines: The rows that others were tested against.
        seeds: What was added to the scale's seeds, where there is more than one run; otherwise the seed of the options.
    """
    scale = options.open_scale()
    return provenance(
        tag=f"{name}-{options.scale}",
        command=sys.orig_argv,
        seeds=_seeds(scale, seeds or [options.seed]),
        data=data,
        method=dict(method) | {"precision": scale.precision},
        measures=measures,
        baselines=baselines,
        resources={
            "work seconds": sum(stage.seconds or 0.0 for stage in facts),
            "peak bytes": max((stage.peak_memory_bytes or 0 for stage in facts), default=0),
            "energy joules": sum(stage.energy_joules or 0.0 for stage in facts) or None,
        },
    )


def complete(
    page: Page,
    name: str,
    options: Options,
    made: StageResults,
    seconds: float,
    rows: Mapping[str, Stage | Iterable[Stage]] | None = None,
) -> None:
    """Add to a page what every page says: its stages with their cost, warnings and provenance.

    Args:
        page: What is completed.
        name: The page's name, which is also its module's in `repro`.
        options: The options of the command.
        made: The stages that the page stands on.
        seconds: The wall time of the command itself.
        rows: The runs that the page shows, by their names.
    """
    page.warnings += warnings(options, (one.config for one in made.stages)) + training_diagnostics.warnings(
        rows or {}, made.names()
    )
    page.stages = made.facts()
    tested: list[Prepare] = []
    if made.stages:
        tested.append(made.prepared(open_scale(options.scale, options.collection).collection))
        page.notes.append(cost(page.stages, seconds))
    method = {"runs": made.runs(), "stages": made.identities()}
    page.provenance = origin(name, options, page.stages, data_of(tested), method)


def _seeds(scale: Scale, added: Sequence[int]) -> dict[str, int | list[int]]:
    made = {
        "stand-ins' short training": scale.stand_in,
        "MLM head": scale.head_training,
        "generator": scale.generator_training,
    }
    seeds = {name: settings.optimisation.seed for name, settings in made.items() if settings is not None} | {
        "pre-training": scale.pretraining.optimisation.seed,
        "Retriever1/2": scale.retriever.optimisation.seed,
        "re-ranker": scale.reranker.optimisation.seed,
        "distillation": scale.distillation.optimisation.seed,
    }
    made_with = {name: [seed + one for one in added] for name, seed in seeds.items()}
    return {name: found if len(found) > 1 else found[0] for name, found in made_with.items()}


def data_of(tested: Sequence[Prepare]) -> dict[str, dict[str, str]]:
    """Return what provenance says of collections: fingerprints as they were tokenised, whatever is on the disk now."""
    found = {}
    for one in tested:
        collection = one.source()
        found["test collection" if len(tested) == 1 else f"test collection {collection.name}"] = {
            "name": collection.name,
            "source": collection.origin,
            "ir_datasets": collection.registered[SPLIT],
            "fingerprint": str(stored(job_of(one))["fingerprint"]),
        }
    return found
