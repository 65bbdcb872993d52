"""BM25 over an index that Anserini or Pyserini built, by Anserini's own search in a Java process of its own."""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from baselines.lucene import java_home, lucene_jar
from simlm.data.collection import Query
from simlm.errors import UserError

SEARCH = "io.anserini.search.SearchCollection"


def check_index(folder: Path) -> None:
    """Refuse a folder that cannot be an index of Lucene's."""
    if not list(folder.glob("segments_*")):
        raise UserError(f"{folder}: no index of Lucene's, it has no segments_ file; fetch and unpack the index again")


def search_prebuilt(index: str, queries: Iterable[Query], path: Path, k1: float, b: float, depth: int) -> None:
    """Search a folder's index, or the one of that name, which Anserini fetches; leaves a TREC run file at ``path``.

    Equal scores are settled by passage id, as Anserini does. UserError where there is no such index.
    """
    with tempfile.TemporaryDirectory() as scratch:
        topics, found = Path(scratch) / "topics.tsv", Path(scratch) / "found.run"
        lines = (f"{query.id}\t{' '.join(query.text.split())}\n" for query in queries)
        topics.write_text("".join(lines), encoding="utf-8")
        options = {"-index": index, "-topics": topics, "-topicReader": "TsvString", "-output": found, "-hits": depth}
        options |= {"-bm25.k1": k1, "-bm25.b": b, "-threads": os.cpu_count() or 1}
        command = [java_home() / "bin" / "java", "-cp", lucene_jar(), SEARCH, "-bm25"]
        arguments = [str(one) for pair in options.items() for one in pair]
        ran = subprocess.run([*map(str, command), *arguments], capture_output=True, text=True, check=False)
        if ran.returncode or not found.is_file():
            said = [line for line in (ran.stderr + ran.stdout).splitlines() if "rror" in line or "xception" in line]
            reason = (said or ["no run was written"])[0].strip()[:200]
            raise UserError(f"index {index}: Anserini cannot search it ({reason}); check the index and the network")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found.read_bytes())
