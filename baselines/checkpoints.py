"""Where the checkpoints of published systems are found, and what lacks where they are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from baselines.prebuilt_index import check_index
from baselines.system import System
from baselines.systems import SYSTEMS
from simlm.commands.hub import Refused
from simlm.commands.preflight import check_model
from simlm.errors import UserError
from simlm.models.folder import check_folder
from simlm.stages.models import PublicModel
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import resolve_graph

NOT_MEASURED = "Not measured: "
Refusal = Callable[[str, str], str]
"""From a repository of the Hub and a revision to why the Hub does not give it, "" where it does."""


def not_asked(repository: str, revision: str) -> str:
    """Return no refusal: the Hub is not asked."""
    return ""


def hub_refusals(results: Path) -> Refusal:
    """Return a function that asks the Hub for each repository once, and not where a stage of ``results`` has copied it.

    The function raises UserError where the Hub does not answer: a table of what happened to be answered would be
    another one the next time.
    """

    def build(submit: Callable[[Any, str], object]) -> None:
        for one in (one for one in SYSTEMS if one.link):
            for repository, revision in one.revisions.items():
                submit(PublicModel.C(name=repository, revision=revision, digest=""), repository)

    models = [one for one in resolve_graph(build, results)[0] if read_manifest(one.job) is not None]
    copied = {one.config.name for one in models if isinstance(one.config, PublicModel)}

    @cache
    def refusal(repository: str, revision: str) -> str:
        if repository in copied:
            return ""
        try:
            check_model(repository, revision)
        except Refused as error:
            return str(error)
        return ""

    return refusal


@dataclass(frozen=True)
class Checkpoints:
    """Repositories of the Hub, or of a folder that looks like it: ``<org>--<name>`` or ``<org>/<name>`` below it."""

    folder: Path | None = None
    refusal: Refusal = not_asked

    def name(self, repository: str) -> str:
        """Return what a stage reads a repository by: its Hub name, or its folder. UserError where there is none."""
        if self.folder is None:
            return repository
        places = (self.folder / repository.replace("/", "--"), self.folder / repository)
        for place in places:
            if place.is_dir():
                return str(place)
        raise UserError(f"{repository} is not in {self.folder}: fetch it to {places[0].name} there")

    def missing(self, system: System) -> str:
        """Return why a system cannot be measured, "" where it can; UserError for a repository that is damaged."""
        if system.lacking:
            return system.lacking
        for repository, revision in system.revisions.items():
            try:
                name = self.name(repository)
            except UserError:
                return f"{NOT_MEASURED}{repository} is not in the folder of models."
            if self.folder is not None:
                (check_index if system.kind == "sparse" else check_folder)(Path(name))
            elif system.link and (reason := self.refusal(repository, revision)):
                return f"{NOT_MEASURED}{reason}."
        return ""

    def unasked(self) -> "Checkpoints":
        """Return a copy that never asks the Hub, for systems that ``--rows`` leaves out."""
        return replace(self, refusal=not_asked)

    def check_any(self, systems: Sequence[System], lacking: Mapping[str, str]) -> None:
        """Raise UserError where the folder has nothing of the systems, or the Hub refuses all that it should give.

        ``lacking`` is by a system's key what it lacks.
        """
        public = [one for one in systems if one.link and not one.lacking]
        if not public or not all(lacking[one.key] for one in (public if self.folder is None else systems)):
            return
        if self.folder is not None:
            raise UserError(
                f"none of the published checkpoints is in {self.folder}: fetch one, {public[-1].checkpoint} say"
            )
        reason = lacking[public[-1].key].removeprefix(NOT_MEASURED).removesuffix(".")
        raise UserError(f"none of the published checkpoints is to be had (--models DIR reads a folder): {reason}")
