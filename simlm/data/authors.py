"""The runs and teacher scores that came with the released archives: what SimLM's authors retrieved and scored.

Their scripts leave them beside the data of each archive, under the name of the split:

    msmarco_bm25_official   dev.msmarco.txt         BM25's run
    msmarco_reranker        dev.msmarco.txt         Retriever2's run, whose top the re-ranker re-ranks
                            rerank.dev.msmarco.txt  the re-ranked run, which the authors' scripts/rerank_marco.sh writes
    msmarco_distillation    kd_dev.jsonl            the re-ranker's logits for dev's positives and negatives

Runs are of TREC DL 2019 and 2020 as well. None of these files is needed for anything but a comparison.
"""

from pathlib import Path
from typing import NamedTuple

from simlm.data.archives import members
from simlm.data.lines import File
from simlm.data.released import ARCHIVE, OF_SPLIT, PASSAGES, TRAIN

RERANKER, DISTILLATION = "msmarco_reranker", "msmarco_distillation"
"""The archives of the later stages' training data, in the same data set as ``ARCHIVE``."""


class AuthorsRun(NamedTuple):
    """One of the authors' runs: the archive that it is in, and what its files' names begin with."""

    archive: str
    begins: str = ""

    def file_of(self, split: str) -> str:
        """Its file's name for a split."""
        return f"{self.begins}{OF_SPLIT[split]}.msmarco.txt"


BM25 = AuthorsRun(ARCHIVE)
RETRIEVER2 = AuthorsRun(RERANKER)
RERANKED = AuthorsRun(RERANKER, "rerank.")


def authors_run(folder: Path, split: str, run: AuthorsRun = BM25) -> File | None:
    """A run of the authors' on a split, in the folder of the released archives, packed or not; None without one."""
    return _file(folder, run.archive, run.file_of(split))


def authors_scores(folder: Path, split: str) -> File | None:
    """The authors' teacher scores of a split's lists, found likewise."""
    return _file(folder, DISTILLATION, f"kd_{OF_SPLIT[split]}.jsonl")


def _file(folder: Path, archive: str, name: str) -> File | None:
    if (folder / PASSAGES).is_file() or (folder / TRAIN).is_file():  # the first archive itself, unpacked
        if archive == ARCHIVE:
            return folder / name if (folder / name).is_file() else None
        folder = folder.parent
    if (folder / archive / name).is_file():
        return folder / archive / name
    packed = folder / f"{archive}.zip"
    return members(packed, (name,)).get(name) if packed.is_file() else None
