"""Table 3: the bytes of an index, one vector a passage against one a token.

Examples:
  python -m repro.table3                    the distilled SimLM's index at mini scale
  python -m repro.table3 --scale smoke      the same in small
  python -m repro.table3 --dry-run          what would run, and for how long
  python -m repro.table3 --scale paper --released    the indexes of the published SimLM and ColBERTv2
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from baselines.systems import system, systems_in
from reports.markdown import size
from reports.model import PAPER_SCALE
from reports.page import Cell, Page, Section
from repro.command import Options, main
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.released import ReleasedOptions, checkpoints_for, system_run
from repro.run import run_page
from repro.run_values import output_of
from simlm.data.catalogue import MSMARCO
from simlm.stages.data import stored
from simlm.stages.runs import Retrieve, RunStage
from simlm.workflow.manifest import read_manifest
from simlm.workflow.plan import job_of

PASSAGES = MSMARCO.passages
WIDTH, FLOAT = 768, 4
"""BERT-base's vectors, kept in 32 bit as SimLM keeps them."""
COLBERT_BYTES = 154 << 30
"""The 154 GiB that the ColBERTv2 paper (Santhanam et al., NAACL 2022) gives for ColBERT's vectors of MS MARCO."""
LIMIT = 150 * 10**9
"""The paper's "more than 150 GB"."""
DIMENSIONS = 128
"""Of a vector of ColBERT's (Khattab and Zaharia, SIGIR 2020), of which there is one a token."""
BYTES = 2
"""16 bit a dimension."""
MAX_TOKENS = 180
"""Where ColBERT cuts a passage of MS MARCO, special tokens included."""
SPECIAL_TOKENS = 3
"""[CLS], the marker that says "passage", and [SEP]; each has a vector."""


def vectors(lengths: NDArray[np.int32]) -> int:
    """Count the vectors of passages of so many word pieces (n,), special tokens not counted in them.

    Punctuation has vectors too; ColBERT can leave those out.
    """
    return int(np.minimum(lengths, MAX_TOKENS - SPECIAL_TOKENS).sum(dtype=np.int64)) + SPECIAL_TOKENS * len(lengths)


def index_bytes(count: int) -> int:
    """Return the bytes of so many vectors, without whatever else an index keeps to find them."""
    return count * DIMENSIONS * BYTES


def ask(runs: PipelineRuns) -> Retrieve:
    """Return the runs of the distilled SimLM, whose stage leaves the index."""
    return runs.distilled("simlm")


def sizes(index: Retrieve) -> tuple[int, int]:
    """Return the bytes of a finished index, and of a multi-vector index of the same passages."""
    return _own_bytes(index), index_bytes(vectors(_lengths(index)))


def _own_bytes(index: Retrieve) -> int:
    return int((read_manifest(job_of(index)) or {})["numbers"]["index_bytes"])


def _lengths(index: Retrieve) -> NDArray[np.int32]:
    """Return the number of pieces of each passage, (n,)."""
    from simlm.data.store import TokenisedCollection

    return TokenisedCollection.open(output_of(index.data) / "store").passages.lengths


def table3(scale: str, index: Retrieve) -> Page:
    """Return the page: the sizes here, then the same arithmetic for MS MARCO."""
    lengths = _lengths(index)
    return Page(
        title="Table 3: index size",
        scale=scale,
        introduction=f"Indexes of the {len(lengths):,} passages of {index.data.source().name}.",
        sections=[_here(len(lengths), _own_bytes(index), vectors(lengths), scale), _at_paper_scale()],
        notes=[
            f"A multi-vector index has one vector of {DIMENSIONS} dimensions, {8 * BYTES} bit each, a token. Tokens "
            f"are those of the tokenised collection, cut at {MAX_TOKENS} a passage with {SPECIAL_TOKENS} special ones "
            "([CLS], the passage marker, [SEP]), as ColBERT cuts and counts them on MS MARCO; punctuation, which it "
            "can leave out, is counted. No such index is built here.",
            "ColBERTv2's own compressed index (1 or 2 bit a dimension) is smaller by a factor of 6 to 10, as its paper "
            "says; what SimLM's Table 3 gives for it is the size of uncompressed vectors.",
        ],
    )


def _line(index: str, known: str, vectors_: int, bytes_: int, paper: str) -> dict[str, Cell]:
    """Return a line of the page for one index; ``paper`` is its name in the paper's table."""
    printed = published("table3").set_index("model").loc[paper]
    return {
        "index": index,
        "how known": known,
        "vectors": vectors_,
        "bytes": bytes_,
        "size": size(bytes_),
        "paper, MS MARCO": str(printed["index_size"]),
        "paper, search": str(printed["index_search"]),
    }


def _here(passages: int, ours: int, tokens: int, scale: str) -> Section:
    many = index_bytes(tokens)
    wide = passages * WIDTH * FLOAT
    whole = scale == PAPER_SCALE and passages == PASSAGES
    other = "" if whole else " The paper's sizes are of another collection."
    return Section(
        "Measured and computed for this collection",
        [
            _line("multi-vector (ColBERTv2 in the paper)", "computed from the tokens", tokens, many, "ColBERTv2"),
            _line("SimLM, distilled", "measured, files on disk", passages, ours, "SimLM"),
        ],
        text=(
            f"Here the multi-vector index takes {many / ours:.1f} times the bytes of SimLM's. A SimLM vector has "
            f"{ours / passages:.0f} bytes at this scale and {WIDTH * FLOAT:,} in the paper; with the paper's it would "
            f"be {many / wide:.1f} times (computed).{other}"
        ),
    )


def _at_paper_scale() -> Section:
    each = round(COLBERT_BYTES / index_bytes(PASSAGES))
    above = LIMIT // index_bytes(PASSAGES) + 1

    def line(index: str, computation: str, bytes_: int) -> dict[str, Cell]:
        return {"index": index, "computation": computation, "bytes": bytes_, "size": size(bytes_)}

    def tokens(count: int) -> str:
        return f"{PASSAGES:,} passages x {count} tokens x {DIMENSIONS} dimensions x {BYTES} bytes"

    return Section(
        "The same arithmetic for MS MARCO: computed, not measured",
        [
            line("multi-vector, ColBERT's own vectors", tokens(each), index_bytes(PASSAGES * each)),
            line("multi-vector, fewest tokens above 150 GB", tokens(above), index_bytes(PASSAGES * above)),
            line("SimLM", f"{PASSAGES:,} passages x {WIDTH} dimensions x {FLOAT} bytes", PASSAGES * WIDTH * FLOAT),
        ],
        text=(
            f"By the 154 GiB that the ColBERTv2 paper gives for ColBERT's vectors, a passage has {each} of them on "
            f"average; {above} are enough for more than 150 GB."
        ),
    )


def published_indexes(lacking: Sequence[str], scale: str, indexes: Mapping[str, RunStage]) -> Page:
    """Return the page for published checkpoints, with the sizes that their runs left.

    Args:
        lacking: Sentences on the checkpoints that are not here.
        scale: The name of the scale.
        indexes: The run of each system, by its key.
    """
    data = next(iter(indexes.values())).data
    passages = stored(job_of(data))["statistics"]["passages"]
    lines = []
    for key, run in indexes.items():
        numbers, one = (read_manifest(job_of(run)) or {})["numbers"], system(key)
        count = numbers.get("vectors", passages)
        lines.append(_line(one.label, "measured, files on disk", count, numbers["index_bytes"], one.named["table3"]))
    return Page(
        title="Table 3: index size, published checkpoints",
        scale=scale,
        introduction=f"Indexes of the {passages:,} passages of {data.source().name}.",
        sections=[Section("Measured for this collection", lines, text=" ".join(lacking)), _at_paper_scale()],
        notes=[
            "A multi-vector index is measured as its vectors, 16 bit a dimension, one for each token that is kept. "
            "ColBERTv2's own index is compressed to 1 or 2 bit a dimension, smaller by a factor of 6 to 10; what the "
            "paper gives for it is the size of uncompressed vectors. Its search here is exact and needs one stage."
        ],
    )


def run(options: Options) -> None:
    """Make the runs of the distilled SimLM or of the published checkpoints, and write the page."""
    checkpoints = checkpoints_for(options)
    if checkpoints is None:
        run_page("table3", ask, table3, options)
        return
    lacking = {one.key: checkpoints.missing(one) for one in systems_in("table3")}
    checkpoints.check_any(systems_in("table3"), lacking)
    found = [one for one in systems_in("table3") if not lacking[one.key]]
    said = [f"{system(key).label}: {reason}" for key, reason in lacking.items() if reason]
    run_page(
        "table3",
        lambda runs: {one.key: system_run(runs, one, checkpoints) for one in found},
        partial(published_indexes, said),
        options,
    )


if __name__ == "__main__":
    main(run, __doc__, ReleasedOptions)
