"""The files that ir_datasets keeps of MS MARCO and of DPR's Wikipedia with Natural Questions, in miniature."""

import gzip
import json
from pathlib import Path

from tests.data.released import TRAINED

PASSAGES = 40


def msmarco(home: Path) -> None:
    """msmarco-passage as it lies there after its downloads: extracted where ir_datasets extracts, packed where not."""
    files: dict[str, bytes] = {
        "irds_version.txt": b"v2",
        "collection.tsv": _lines(f"{n}\ttext {n} naïve" for n in range(PASSAGES)),
        "train/queries.tsv": _lines(f"{1000 + n}\tquery {n}" for n in range(TRAINED + 50)),
        "train/qrels": _lines(f"{1000 + n}\t0\t{n % PASSAGES}\t1" for n in range(TRAINED)),
        "dev/small/queries.tsv": _lines(f"{n}\tdev query {n}" for n in range(5)),
        "dev/small/qrels": _lines(f"{n}\t0\t{n}\t1" for n in range(5)),
        "trec-dl-2019/queries.tsv": _lines(f"{n}\tdl {n}" for n in (19, 20, 21)),
        "trec-dl-2019/qrels": _lines(f"{n} Q0 {n + g} {g}" for n in (19, 21) for g in range(4)),
        "trec-dl-2020/queries.tsv.gz": gzip.compress(_lines(f"{n}\tdl {n}" for n in (30, 31))),
        "trec-dl-2020/qrels": _lines(f"30 0 {30 + g} {g}" for g in range(4)),
    }
    _write(home / "msmarco-passage", files)


def dpr(home: Path) -> None:
    """dpr-w100: fields that hold quotation marks or begin with one are quoted, as csv does it."""
    passages = [f'{n}\t"Text {n}, a ""quoted"" word"\tTitle {n}' for n in range(1, PASSAGES + 1)]
    passages[1] = '2\tplain "word" in it\t"""Title"" two"'
    files = {"docs.tsv.gz": gzip.compress(_lines(["id\ttext\ttitle", *passages]))}
    for split, count in (("train", 6), ("dev", 3)):
        rows = [
            {
                "question": f"{split} question {n}",
                "answers": [f"answer {n}", f"text {n + 5}"],  # in passage n + 5 alone
                "positive_ctxs": [_context(n + 1, 1000), _context(n + 2, 11.5)],
                "negative_ctxs": [_context(n + 20, 0)],
                "hard_negative_ctxs": [_context(n + 10, 9.5), _context(n + 11, 9.25)],
            }
            for n in range(count)
        ]
        files[f"nq-{split}.json.gz"] = gzip.compress(json.dumps(rows).encode())
    _write(home / "dpr-w100", files)


def _context(passage: int, score: float) -> dict[str, object]:
    return {"title": "t", "text": "x", "score": score, "title_score": 0, "passage_id": str(passage)}


def _lines(rows: object) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()  # type: ignore[attr-defined]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
