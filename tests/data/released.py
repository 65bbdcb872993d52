"""Miniature replicas of the archives that were released with SimLM, in their own layout."""

import gzip
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlm.data.released_archive import ARCHIVE

COUNT = 40
"""Passages."""
TRAINED = 300
"""Training queries, 4 of which are set aside as valid."""


def replica() -> dict[str, bytes]:
    """The files of msmarco_bm25_official. Ids are strings; a positive that BM25 did not find has the score -1."""
    train = [_line(f"{1000 + n}", n) for n in range(TRAINED)]
    return {
        "passages.jsonl.gz": passages(COUNT),
        "train.jsonl": _jsonl(train),
        "dev.jsonl": _jsonl([_line(str(n), n) for n in range(5)]),
        "train_queries.tsv": "".join(f"{row['query_id']}\t{row['query']}\n" for row in train).encode(),
        "train_qrels.txt": "".join(
            f"{row['query_id']}\t0\t{passage}\t1\n" for row in train for passage in row["positives"]["doc_id"]
        ).encode(),
        "dev_queries.tsv": "".join(f"{n}\tdev query {n}\n" for n in range(5)).encode(),
        "dev_qrels.txt": "".join(f"{n}\t0\t{n}\t1\n" for n in range(5)).encode(),
        "train.msmarco.txt": b"1000\t5\t1\t9.5\n",
        "dev.msmarco.txt": b"0\t5\t1\n",
    }


def passages(count: int) -> bytes:
    """passages.jsonl.gz, every third passage without a title."""
    rows = [{"id": str(n), "contents": f"text {n}", "title": f"title {n}" if n % 3 else ""} for n in range(count)]
    return gzip.compress(_jsonl(rows), mtime=0)


def trec_dl() -> dict[str, bytes | None]:
    """The files of TREC DL 2019 and 2020: graded judgements, several a query, grade 0 among them."""
    files: dict[str, bytes | None] = {}
    for year, count in ((2019, 3), (2020, 4)):
        queries = [str(1000 * year + n) for n in range(count)]
        files[f"trec_dl{year}_queries__tsv"] = "".join(
            f"{one}\ttext {n + 2}\n" for n, one in enumerate(queries)
        ).encode()
        files[f"trec_dl{year}_qrels__txt"] = "".join(
            f"{one}\tQ0\t{n + grade}\t{grade}\n" for n, one in enumerate(queries) for grade in (3, 2, 1, 0)
        ).encode()
    return files


def reranker(reranked: bool = False) -> dict[str, bytes]:
    """The files of msmarco_reranker: the same data, Retriever2's runs, and what else its authors' scripts leave there.

    ``reranked``: with the runs that their scripts make of them.
    """
    data = {name: content for name, content in replica().items() if not name.endswith(".msmarco.txt")}
    data |= {name.replace("__", "."): content for name, content in trec_dl().items() if content is not None}
    splits = {"dev": [str(n) for n in range(5)], "test": ["7000", "7001"]}
    splits |= {f"trec_dl{year}": [str(1000 * year + n) for n in range(count)] for year, count in ((2019, 3), (2020, 4))}
    runs = {f"{split}.msmarco.txt": _run(queries, 1) for split, queries in splits.items()}
    if reranked:
        runs |= {f"rerank.{split}.msmarco.txt": _run(queries, 0) for split, queries in splits.items()}
    return data | runs | {"train_dev_create_args.json": b'{\n    "depth": 200\n}'}


def distillation() -> dict[str, bytes]:
    """The files of msmarco_distillation: the same data, and dev's lists with the re-ranker's logits."""
    lines = [_line(str(n), n) for n in range(5)]
    for line in lines:
        line["positives"]["score"] = [4.12345]
        line["negatives"]["score"] = [1.5, -2.25, -3.0]
    data = {name: content for name, content in reranker().items() if not name.endswith(".msmarco.txt")}
    scored = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    return data | {"kd_dev.jsonl": scored.encode()}


def _run(queries: list[str], first: int) -> bytes:
    """A run of 12 passages a query, the query's own number in place ``first`` of its ranking, from 0."""
    lines = []
    for number, query in enumerate(queries):
        order = [(number + step) % COUNT for step in range(1, 12)]
        order.insert(first, number)
        lines += [f"{query}\t{one}\t{rank}\t{round(0.9 - rank / 97, 3)}\n" for rank, one in enumerate(order, start=1)]
    return "".join(lines).encode()


def _line(query: str, number: int) -> dict[str, Any]:
    positive = number % COUNT
    negatives = [str((positive + step) % COUNT) for step in (3, 1, 2)]
    return {
        "query_id": query,
        "query": f"query {number}",
        "positives": {"doc_id": [str(positive)], "score": [-1.0 if number % 2 else 7.5]},
        "negatives": {"doc_id": negatives, "score": [3.0, 2.0, 1.0]},
    }


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def unpacked(folder: Path, **changed: bytes | None) -> Path:
    """The archive as unzip leaves it below `folder`; `changed` replaces files ("__" is a "."), None drops one."""
    (folder / ARCHIVE).mkdir(parents=True)
    for name, content in _changed(changed).items():
        (folder / ARCHIVE / name).write_bytes(content)
    return folder


def packed(folder: Path, **changed: bytes | None) -> Path:
    """The same as the archive itself."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{ARCHIVE}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _changed(changed).items():
            archive.writestr(f"{ARCHIVE}/{name}", content)
    return folder


def also(folder: Path, name: str, files: Mapping[str, bytes], pack: bool = True) -> Path:
    """Lay another of the archives, by its name, beside the first in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    if pack:
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in files.items():
                archive.writestr(f"{name}/{file}", content)
        return folder
    (folder / name).mkdir()
    for file, content in files.items():
        (folder / name / file).write_bytes(content)
    return folder


def _changed(changed: Mapping[str, bytes | None]) -> dict[str, bytes]:
    files: dict[str, bytes | None] = {**replica()}
    files |= {name.replace("__", "."): content for name, content in changed.items()}
    return {name: content for name, content in files.items() if content is not None}
