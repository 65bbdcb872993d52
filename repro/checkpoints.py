"""Where published checkpoints are found, and what lacks where they are not."""

from dataclasses import dataclass
from pathlib import Path

from baselines.prebuilt import check_index
from baselines.system import System
from simlm.errors import UserError
from simlm.models.public import check_folder


@dataclass(frozen=True)
class Checkpoints:
    """Repositories of the Hub, or of a folder that looks like it: ``<org>--<name>`` or ``<org>/<name>`` below it."""

    folder: Path | None = None

    def name(self, repository: str) -> str:
        """What a stage reads a repository by: its Hub name, or its folder; UserError where the folder lacks it."""
        if self.folder is None:
            return repository
        places = (self.folder / repository.replace("/", "--"), self.folder / repository)
        for place in places:
            if place.is_dir():
                return str(place.absolute())
        raise UserError(f"{repository} is not in {self.folder}: fetch it to {places[0].name} there")

    def missing(self, system: System) -> str:
        """Why a system cannot be measured, "" where it can; UserError for a repository that is there and damaged."""
        if system.lacking:
            return system.lacking
        for repository in system.repositories:
            try:
                name = self.name(repository)
            except UserError:
                return f"Not measured: {repository} is not in the folder of models."
            if self.folder is not None:
                (check_index if system.kind == "sparse" else check_folder)(Path(name))
        return ""
