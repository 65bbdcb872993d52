"""Where built-in collections are fetched from, and what of them lies on disk; nothing is fetched to say so."""

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub  # imports its parts when they are used

from simlm.errors import UserError


@dataclass(frozen=True)
class HubArchive:
    """An archive of a data set on the Hub, at a commit."""

    repository: str
    file: str
    revision: str

    def on_disk(self) -> dict[Path, int]:
        """Return the files that are here with their bytes; half a download counts with what there is of it."""
        found = huggingface_hub.try_to_load_from_cache(
            self.repository, self.file, repo_type="dataset", revision=self.revision
        )
        if isinstance(found, str):
            return {Path(found): os.stat(found).st_size}
        blobs = Path(huggingface_hub.constants.HF_HUB_CACHE, f"datasets--{self.repository.replace('/', '--')}", "blobs")
        return {path: path.stat().st_size for path in sorted(blobs.glob("*.incomplete"))}

    def fetch(self, name: str) -> Path:
        """Return the archive's folder in the Hub's cache; fetch it where it is not there whole.

        An interrupted download goes on where it ended. UserError, about the collection called ``name``, where the Hub
        does not give it.
        """
        errors = huggingface_hub.errors
        try:
            archive = huggingface_hub.hf_hub_download(
                self.repository, self.file, repo_type="dataset", revision=self.revision
            )
        except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{name}: {self.file} is not to be had from the Hub's data set {self.repository} ({reason}); check the "
                "network, or give a folder with it as --collection"
            ) from None
        return Path(archive).parent


@dataclass(frozen=True)
class IrdsFolder:
    """The files that ir_datasets fetches for a data set, in a folder below its home.

    ``passages`` is what ir_datasets calls the files with the passages in its own list of downloads.
    """

    folder: str
    passages: str

    def on_disk(self) -> dict[Path, int]:
        """Return the files that are here with their bytes, as `HubArchive.on_disk` does."""
        # The last is a copy that its reader brought, where ir_datasets looks for one.
        brought = irds_home() / "downloads" / self._entry()["expected_md5"]
        files = [*sorted((irds_home() / self.folder).rglob("*")), brought]
        # ir_datasets notes its version there before it has fetched anything.
        return {path: path.stat().st_size for path in files if path.is_file() and path.name != "irds_version.txt"}

    def url(self) -> str:
        """Return where ir_datasets fetches the passages from."""
        url: str = self._entry()["url"]
        return url

    def _entry(self) -> dict[str, Any]:
        """Return what ir_datasets' own list of downloads says of the passages, without importing it."""
        found = importlib.util.find_spec("ir_datasets")
        if found is None or found.origin is None:
            raise UserError("the library ir_datasets is not installed: pip install -c constraints.txt -e '.[cpu]'")
        downloads = json.loads((Path(found.origin).parent / "etc" / "downloads.json").read_text(encoding="utf-8"))
        entry: dict[str, Any] = downloads[self.folder][self.passages]
        return entry


def irds_home() -> Path:
    """Return ir_datasets' own folder, as it settles it, without importing it."""
    return Path(os.environ.get("IR_DATASETS_HOME", "") or Path.home() / ".ir_datasets")
