"""Small folders in BEIR's layout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simlm.data.opening import open_collection

FILES = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
HEAD = "query-id\tcorpus-id\tscore\n"
ODD_IDS = ("NA", "null", "nan", "None", "1e5", "007", "True", 'a,"b')
"""Ids that some readers take for missing values, numbers or truth values where they are let."""


def jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_beir(folder: Path, **changed: str | bytes | None) -> Path:
    """Four passages, a query a split and one that no split has; `changed` replaces files, None leaves one out."""
    corpus = [
        {"_id": "p1", "title": "First", "text": "one  text"},
        {"_id": "p2", "title": "", "text": "other"},
        {"_id": "p3", "text": "no title"},
        {"_id": 4, "title": None, "text": "an id that is a number", "metadata": {"url": "x"}},
    ]
    queries = [{"_id": f"q{number}", "text": f"query {number}"} for number in (3, 2, 1, 0)]
    files: dict[str, str | bytes | None] = {"corpus.jsonl": jsonl(corpus), "queries.jsonl": jsonl(queries)}
    for number, (split, name) in enumerate(FILES.items(), start=1):
        files[f"qrels/{name}"] = f"{HEAD}q{number}\tp{number}\t1\nq{number}\t4\t0\n"
        files[f"qrels/{name}"] = changed.pop(split, files[f"qrels/{name}"])
    files |= {name.replace("_jsonl", ".jsonl").replace("_gz", ".gz"): value for name, value in changed.items()}
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (folder / name).write_bytes(data)
    return folder


def smoke_as_beir(folder: Path) -> Path:
    """The smoke collection with titles, in new ids: something that the pipeline has not seen under another name.

    The first test queries have the ``ODD_IDS``.
    """
    smoke = open_collection("insuranceqa-smoke")
    names = {(split, one.id): f"{split}-{one.id}" for split in FILES for one in smoke.queries(split)}
    names |= zip([("test", one.id) for one in smoke.queries("test")], ODD_IDS, strict=False)
    corpus = [
        {"_id": f"doc-{one.id}", "title": " ".join(one.text.split()[:2]), "text": one.text} for one in smoke.passages()
    ]
    queries = [{"_id": names[split, one.id], "text": one.text} for split in FILES for one in smoke.queries(split)]
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(jsonl(corpus), encoding="utf-8")
    (folder / "queries.jsonl").write_text(jsonl(queries), encoding="utf-8")
    for split, name in FILES.items():
        lines = [
            f"{names[split, query]}\tdoc-{passage}\t{grade}\n"
            for query, judged in smoke.qrels(split).items()
            for passage, grade in judged.items()
        ]
        (folder / "qrels" / name).write_text(HEAD + "".join(lines), encoding="utf-8")
    return folder
