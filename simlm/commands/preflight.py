"""What stages to do cannot do without, asked for before the first of them starts: each lack is one UserError."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from simlm.costs.needs import Needs, check_disk
from simlm.costs.work import work_of
from simlm.errors import UserError
from simlm.stages.manifest import read_manifest
from simlm.stages.models import PublicModel
from simlm.stages.plan import Build, Planned, laid_out
from simlm.stages.slots import DEVICE, gpus_of_slots

NEEDS_GPU = ("paper",)
"""Scales whose trainings would take years on a processor."""
MUCH_FLOP = 1e17
"""Arithmetic that a processor of this kind does in a day: what is less runs without a GPU."""
SECONDS = 10.0
"""How long the Hub may take to answer."""


def check_ready(build: Build, scale: str, results: Path, elsewhere: bool = False) -> None:
    """Refuse what the stages to do would stumble over: libraries, the GPU, disk, models of the Hub. Writes nothing.

    A stage with a manifest counts as done. The machine's GPUs are those of `choose_gpus`; ``elsewhere`` is for stages
    that run on others than this one.
    """
    todo = [stage for stage in laid_out(build, results.absolute())[0] if read_manifest(stage.job) is None]
    check_libraries(todo)
    if not elsewhere:
        check_gpu(todo, scale)
    check_disk(Needs.of(work_of(stage.config) for stage in todo if stage.config is not None), results)
    check_models(todo)


def check_libraries(stages: Sequence[Planned]) -> None:
    """The modules that stages say they need must be installed."""
    for stage in stages:
        for module in () if stage.config is None else stage.config.libraries:
            if importlib.util.find_spec(module) is None:
                raise UserError(
                    f"{stage.name} needs the library {module}, which is not installed: "
                    "pip install -c constraints.txt -e '.[cpu]' (or '.[gpu]'; '.[test]' brings sentence-transformers)"
                )


def check_gpu(stages: Sequence[Planned], scale: str) -> None:
    """Large trainings need a GPU, unless the processor was asked for."""
    if scale not in NEEDS_GPU or gpus_of_slots() or os.environ.get(DEVICE) == "cpu":
        return
    for stage in stages:
        if stage.config is not None and sum(work_of(stage.config).flop.values()) > MUCH_FLOP:
            raise UserError(
                f"{scale} scale needs a GPU for {stage.name}, and torch sees none here: check the driver, and that "
                "torch is a CUDA build, ask for --scale mini, or for --device cpu if years do not matter"
            )


def check_models(stages: Sequence[Planned]) -> None:
    """Public models must lie in a folder or in the Hub's cache, or the Hub must be willing to give them."""
    for stage in stages:
        model = stage.config
        if isinstance(model, PublicModel) and not Path(model.location or model.name).is_dir():
            check_model(model.name, model.revision)


def check_model(name: str, revision: str) -> None:
    """UserError for a model that is neither in the Hub's cache nor to be had from the Hub."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    chosen = revision or "main"
    try:
        if isinstance(try_to_load_from_cache(name, "config.json", revision=chosen), str):
            return
        HfApi().model_info(name, revision=chosen, timeout=SECONDS)
    except GatedRepoError:
        raise UserError(
            f"model {name} is gated: accept its terms on its page of the Hub, log in there with `hf auth login`, and "
            "run again"
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        raise UserError(
            f"model {name} (revision {chosen}): the Hub has no such public model; check the name, log in with "
            "`hf auth login` if it is private, or give a folder that holds it"
        ) from None
    except OfflineModeIsEnabled:
        raise UserError(
            f"model {name} is not in the Hub's cache, and HF_HUB_OFFLINE forbids to fetch it: unset that, or fetch it "
            f"where there is a network with `hf download {name}` and give its folder"
        ) from None
    except Exception as error:  # whatever the HTTP library below raises for a network that is not there
        raise UserError(
            f"model {name}: the Hub cannot be reached ({type(error).__name__}); check the network or its proxy, or "
            f"fetch the model elsewhere with `hf download {name}` and give its folder"
        ) from None
