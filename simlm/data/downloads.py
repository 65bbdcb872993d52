"""What lies on disk of the collections that are fetched; nothing is fetched to say so."""

import os
from pathlib import Path

from simlm.data.released import ARCHIVE

ARCHIVES = "intfloat/simlm-msmarco"
"""The Hub's data set with the archives that were released with SimLM."""
REVISION = "main"
"""A branch, tag or commit of it; a commit's 40 digits pin it."""
FOLDERS = {"msmarco-titleless": "msmarco-passage", "nq": "dpr-w100"}
"""Where ir_datasets keeps what it fetches, below its home."""


def on_disk(name: str) -> dict[Path, int]:
    """The files of a collection that are here, with their bytes; half a download counts with what there is of it."""
    if name in FOLDERS:
        folder = irds_home() / FOLDERS[name]
        return {path: path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(ARCHIVES, f"{ARCHIVE}.zip", repo_type="dataset", revision=REVISION)
    if isinstance(found, str):
        return {Path(found): os.stat(found).st_size}
    blobs = Path(constants.HF_HUB_CACHE, f"datasets--{ARCHIVES.replace('/', '--')}", "blobs")
    return {path: path.stat().st_size for path in sorted(blobs.glob("*.incomplete"))}


def irds_home() -> Path:
    """ir_datasets' own folder, as it settles it, without importing it."""
    return Path(os.environ.get("IR_DATASETS_HOME", "") or Path.home() / ".ir_datasets")
