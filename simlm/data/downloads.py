"""What lies on disk of the collections that are fetched; nothing is fetched to say so."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from simlm.data.released import ARCHIVE
from simlm.errors import UserError

ARCHIVES = "intfloat/simlm-msmarco"
"""The Hub's data set with the archives that were released with SimLM."""
REVISION = "99b3fc89775248130c910ef9915cb3934977f5f8"
"""The commit of it that is fetched, seen on the Hub's page of it, tree/<commit>; commits/main has it on top."""
FOLDERS = {"msmarco-titleless": "msmarco-passage", "nq": "dpr-w100"}
"""Where ir_datasets keeps what it fetches, below its home."""
VERSION = "irds_version.txt"
"""What ir_datasets leaves there before it has fetched anything."""
PASSAGES = {"msmarco-titleless": "collectionandqueries", "nq": "docs"}
"""What ir_datasets calls the files with their passages."""


def on_disk(name: str) -> dict[Path, int]:
    """The files of a collection that are here, with their bytes; half a download counts with what there is of it."""
    if name in FOLDERS:
        folder = irds_home() / FOLDERS[name]
        # The last is a copy that its reader brought, where ir_datasets looks for one.
        files = [*sorted(folder.rglob("*")), irds_home() / "downloads" / _passages(name)["expected_md5"]]
        return {path: path.stat().st_size for path in files if path.is_file() and path.name != VERSION}
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(ARCHIVES, f"{ARCHIVE}.zip", repo_type="dataset", revision=REVISION)
    if isinstance(found, str):
        return {Path(found): os.stat(found).st_size}
    blobs = Path(constants.HF_HUB_CACHE, f"datasets--{ARCHIVES.replace('/', '--')}", "blobs")
    return {path: path.stat().st_size for path in sorted(blobs.glob("*.incomplete"))}


def passages_url(name: str) -> str:
    """Where ir_datasets fetches a collection's passages from."""
    url: str = _passages(name)["url"]
    return url


def _passages(name: str) -> dict[str, Any]:
    """What ir_datasets' own list of downloads says of a collection's passages, without importing it."""
    found = importlib.util.find_spec("ir_datasets")
    if found is None or found.origin is None:
        raise UserError("the library ir_datasets is not installed: pip install -c constraints.txt -e '.[cpu]'")
    downloads = json.loads((Path(found.origin).parent / "etc" / "downloads.json").read_text(encoding="utf-8"))
    entry: dict[str, Any] = downloads[FOLDERS[name]][PASSAGES[name]]
    return entry


def irds_home() -> Path:
    """ir_datasets' own folder, as it settles it, without importing it."""
    return Path(os.environ.get("IR_DATASETS_HOME", "") or Path.home() / ".ir_datasets")
