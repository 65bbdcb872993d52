"""Check what the stages to do need before the first of them starts: each lack is one UserError."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from simlm.commands.hub import SECONDS, check_file
from simlm.costs.needs import check_disk
from simlm.costs.work import total, work_of
from simlm.data.catalogue import IRDS, fetched, find
from simlm.data.downloads import HubArchive, IrdsFolder, irds_home
from simlm.errors import UserError
from simlm.stages.data import Prepare
from simlm.stages.models import PublicModel
from simlm.stages.reranker import TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.sets import AnswerSets
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import Build, Planned, job_of, plan, resolve_graph
from simlm.workflow.resources import Choices

NEEDS_GPU = ("paper",)
"""Scales whose trainings would take years on a processor."""
MUCH_FLOP = 1e17
"""Arithmetic that a processor of this kind does in a day: what is less runs without a GPU."""


def check_ready(build: Build, scale: str, results: Path, choices: Choices) -> None:
    """Refuse what the stages to do would fail at: libraries, the GPU, disk, models, collections. Write nothing.

    A stage with a manifest counts as done. Stages that a cluster runs (``choices.alone``) are not held against this
    machine's GPUs.
    """
    todo = [stage for stage in resolve_graph(build, results)[0] if read_manifest(stage.job) is None]
    check_libraries(todo)
    if not choices.alone:
        check_gpu(todo, scale, choices)
    check_disk(total(work_of(stage.config) for stage in todo), results)
    check_models(todo)
    check_downloads(todo)


def check_collections(build: Build, results: Path, fetch: bool = True) -> None:
    """Refuse a collection still to be tokenised that breaks a rule, and one too small for a query's negatives.

    A stage would find the mistake when folders were already made; nothing is written here. The paper's own collections,
    which are fetched and take long to read, are left to the stage that tokenises them; so are those of ir_datasets
    without ``fetch``.
    """
    # Only these stages are judged: to verify the others takes time, and they are verified later.
    prepared = plan(build, results, Prepare)[0]
    needed = negatives_needed(resolve_graph(build, results)[0])
    own = {(one.config.collection, one.config.location): one for one in prepared if isinstance(one.config, Prepare)}
    for (name, _), stage in own.items():
        if fetched(name) or (name.startswith(IRDS) and not fetch and not stage.finished):
            continue
        # Not before there is one to read: importing ir_datasets makes folders below HOME.
        from simlm.data.checks import check_room, validate

        assert isinstance(stage.config, Prepare)
        if not stage.finished:
            validate(stage.config.source())
        if find(name) is None and stage.job in needed:  # built-in collections have room
            check_room(stage.config.source(), needed[stage.job], stage.config.keep_own)


def negatives_needed(stages: Sequence[Planned]) -> dict[Path, int]:
    """Return how many passages the longest lists of negatives of the stages to do need, by the collection's folder."""
    needed: dict[Path, int] = {}
    for config in (stage.config for stage in stages if read_manifest(stage.job) is None):
        if isinstance(config, TrainRetriever | TrainReranker):
            source = config.negatives if isinstance(config, TrainRetriever) else config.candidates
            if not isinstance(source, AnswerSets):  # whose lists are as long as they come
                job = job_of(source.data)
                needed[job] = max(needed.get(job, 0), config.settings.negatives.needed)
    return needed


def check_libraries(stages: Sequence[Planned]) -> None:
    """Refuse stages of which a library is not installed."""
    for stage in stages:
        for module in () if stage.config is None else stage.config.libraries:
            if importlib.util.find_spec(module) is None:
                raise UserError(
                    f"{stage.name} needs the library {module}, which is not installed: "
                    "pip install -c constraints.txt -e '.[cpu]' (or '.[gpu]'; '.[test]' brings sentence-transformers)"
                )


def check_gpu(stages: Sequence[Planned], scale: str, choices: Choices) -> None:
    """Refuse large trainings without a GPU, unless the processor was asked for."""
    if scale not in NEEDS_GPU or choices.gpus or choices.device == "cpu":
        return
    for stage in stages:
        if work_of(stage.config).all_flop > MUCH_FLOP:
            raise UserError(
                f"{scale} scale needs a GPU for {stage.name}, and torch sees none here: check the driver, and that "
                "torch is a CUDA build, ask for --scale mini, or for --device cpu if years do not matter"
            )


def check_models(stages: Sequence[Planned]) -> None:
    """Refuse public models that lie in no folder, are not in the Hub's cache, and that the Hub does not give."""
    for stage in stages:
        model = stage.config
        if isinstance(model, PublicModel) and not Path(model.copied_from).is_dir():
            check_model(model.name, model.revision)


def check_model(name: str, revision: str) -> None:
    """Raise UserError for a model that is neither in the Hub's cache nor given by the Hub; Refused where it says no."""
    check_file("model", name, "config.json", revision)


def check_downloads(stages: Sequence[Planned]) -> None:
    """Refuse collections of the paper that are not here yet and whose server does not answer."""
    prepared = (stage.config for stage in stages if isinstance(stage.config, Prepare))
    for name in dict.fromkeys(one.collection for one in prepared):
        found = fetched(name)
        if found is None or found.download is None or found.download.on_disk():
            continue
        if isinstance(found.download, HubArchive):
            check_file("dataset", found.download.repository, found.download.file, found.download.revision)
        else:
            check_server(name, found.download)


def check_server(name: str, download: IrdsFolder) -> None:
    """Raise UserError where no server answers; whether it gives the file is seen when it is fetched."""
    import requests

    url = download.url()
    try:
        requests.head(url, timeout=SECONDS)
    except requests.RequestException as error:
        raise UserError(
            f"collection {name} has to be downloaded, and {urlsplit(url).netloc} cannot be reached "
            f"({type(error).__name__}); check the network or its proxy, or copy {irds_home() / download.folder}, "
            "ir_datasets' own folder, from where it was fetched"
        ) from None
