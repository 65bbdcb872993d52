"""Runs as TREC and as MS MARCO run files."""

import shutil
from pathlib import Path

from simlm.progress import Bar
from simlm.retrieval.runs import read_run_ids


def write_runs(sources: dict[str, Path], folder: Path) -> None:
    """Write each split's TREC run file as `<split>.trec` and, the same, as `<split>.msmarco.txt`.

    A line of the latter is query id, passage id, rank (from 1) and score, between tabs; its scores are the TREC file's,
    digit by digit, so strictly decreasing. Streams. Raises UserError, with file and line, for a damaged run.
    """
    for split, source in sources.items():
        shutil.copyfile(source, folder / f"{split}.trec")
        target = folder / f"{split}.msmarco.txt"
        with target.open("w", encoding="utf-8", newline="\n") as file:
            for query, passages, scores in Bar(read_run_ids(source), desc=f"{split} run", unit=" queries"):
                file.writelines(
                    f"{query}\t{passage}\t{rank}\t{score:.9g}\n"
                    for rank, (passage, score) in enumerate(zip(passages, scores, strict=True), start=1)
                )
