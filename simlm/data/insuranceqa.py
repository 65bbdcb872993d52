"""InsuranceQA (Feng et al. 2015), English side, from the data files of the package insuranceqa-data 1.2.

Registers with ir_datasets:

- `insuranceqa`: 27,413 passages (answers), ordered by their number;
- `insuranceqa/train`, `/valid` and `/test`: 12,889, 2,000 and 2,000 questions, each with its relevant answers
  and, as scoreddocs, the 200 hard negatives that the package gives (score 0: it does not say why they rank);
- `insuranceqa-smoke` and its three splits, for tests that take seconds. The rule: the first 600 passages; of
  each split the first questions (64 train, 32 valid, 32 test) that have at least one relevant passage among
  them; relevant passages and negatives outside the 600 are dropped. A question can be left without negatives;
- `insuranceqa-life` and `insuranceqa-auto`, two halves by domain (the rule: simlm.data.domains) with 13,702 and 13,711
  passages and three splits each. A half has the questions of its domains that have a relevant passage in it;
  relevant passages and negatives in the other half are dropped. `insuranceqa-life` holds life, disability,
  long-term-care and renters insurance, `insuranceqa-auto` the other eight domains;
- `insuranceqa-smoke-life` and `insuranceqa-smoke-auto`, what the two have of `insuranceqa-smoke`.

Ids are the package's own; question ids repeat between splits. Double spaces are collapsed.
"""

import gzip
import importlib.util
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simlm.data.domains import HALVES, halves, passage_domains
from simlm.data.handlers import Docs, GenericDoc, GenericQrel, GenericScoredDoc, Qrels, Queries, ScoredDocs
from simlm.data.irds import ir_datasets
from simlm.data.source import Collection
from simlm.errors import UserError

PACKAGE = "insuranceqa-data==1.2"
SPLITS = ("train", "valid", "test")
SMOKE_PASSAGES = 600
SMOKE_QUESTIONS = {"train": 64, "valid": 32, "test": 32}
_MEND = f"reinstall it: pip install --force-reinstall --no-deps {PACKAGE}"


class _Kind(NamedTuple):
    """Which of the package's rows a collection holds."""

    smoke: bool = False
    half: str = ""


_KINDS = {
    f"insuranceqa{'-smoke' * smoke}{'-' * bool(half)}{half}": _Kind(smoke, half)
    for half in ("", *HALVES)
    for smoke in (False, True)
}
NAMES = tuple(_KINDS)


class Question(NamedTuple):
    """A question with the insurance it asks about (`life-insurance`, `medicare-insurance`, ...)."""

    query_id: str
    text: str
    domain: str

    def default_text(self) -> str:
        """The text."""
        return self.text


class _Labelled(NamedTuple):
    question: Question
    relevant: tuple[str, ...]
    negatives: np.ndarray  # int32: 2.6 million ids as strings would take 150 MB


def package_folder() -> Path:
    """The folder of the installed package; it is found, not imported. UserError when it is not installed."""
    spec = importlib.util.find_spec("insuranceqa_data")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"InsuranceQA is not installed: pip install {PACKAGE}")
    return Path(next(iter(spec.submodule_search_locations)))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object of the file; json by itself would keep the last of two fields of one name and say nothing."""
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise UserError(f"{path}: the id or field {json.dumps(twice)} comes twice in one object; {_MEND}")
        return found

    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = json.load(file, object_pairs_hook=unique)
    except FileNotFoundError:
        raise UserError(f"{path} is missing (only version 1.2 holds data); {_MEND}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{path} is truncated or no gzip file; {_MEND}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start} of a block; {_MEND}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); {_MEND}") from None
    if not isinstance(rows, dict):
        raise UserError(f"{path} does not hold an object of rows by id; {_MEND}")
    return rows


def _clean(text: str) -> str:
    return " ".join(text.split())


def _fields(path: Path, id: str, row: Any, **kinds: type) -> list[Any]:
    """The fields of a row by name, each of the kind it has to be."""
    if not isinstance(row, dict) or not kinds.keys() <= row.keys():
        raise UserError(f"{path}: row {id!r} lacks one of {', '.join(kinds)}; {_MEND}")
    for name, kind in kinds.items():
        if not isinstance(row[name], kind):
            shown = "a text" if kind is str else "a list"
            raise UserError(f"{path}: row {id!r} has the {name} {json.dumps(row[name])[:40]}, not {shown}; {_MEND}")
    return [row[name] for name in kinds]


def _numbers(path: Path, id: str, name: str, ids: list[Any]) -> np.ndarray:
    """A row's list of passage ids as int32 (n,); they are numbers written as texts."""
    try:
        if any(kind is not str for kind in set(map(type, ids))):
            raise ValueError
        return np.array(ids, dtype=np.int32)
    except (ValueError, OverflowError):
        wrong = next(one for one in ids if not (isinstance(one, str) and _is_number(one)))
        raise UserError(
            f"{path}: row {id!r} has {json.dumps(wrong)[:40]} among its {name}, which is no passage id; {_MEND}"
        ) from None


def _is_number(id: str) -> bool:
    return id.isascii() and id.isdecimal() and len(id) < 10


@lru_cache(maxsize=2)
def _passages(folder: Path) -> list[Any]:
    """The answers as GenericDoc; the file is one JSON object, so it is read whole, once (25 MB kept)."""
    path = folder / "answers.json.gz"
    rows = sorted(_read(path).items(), key=lambda item: (len(item[0]), item[0]))  # by number
    for id in (id for id, _ in rows if not _is_number(id)):
        raise UserError(f"{path}: the id {json.dumps(id)} is no number; {_MEND}")
    return [GenericDoc(id, _clean(_fields(path, id, row, en=str)[0])) for id, row in rows]


@lru_cache(maxsize=6)
def _questions(folder: Path, split: str) -> list[_Labelled]:
    path = folder / f"{split}.json.gz"
    labelled = []
    for id, row in _read(path).items():
        text, domain, answers, negatives = _fields(path, id, row, en=str, domain=str, answers=list, negatives=list)
        question = Question(id, _clean(text), domain)
        _numbers(path, id, "answers", answers)
        labelled.append(_Labelled(question, tuple(answers), _numbers(path, id, "negatives", negatives)))
    return labelled


@lru_cache(maxsize=2)
def _domains(folder: Path) -> dict[str, str]:
    """The domain of every passage, by the rule of simlm.data.domains."""
    return passage_domains((row.question.domain, row.relevant) for split in SPLITS for row in _questions(folder, split))


def half_domains(half: str, folder: Path | None = None) -> frozenset[str]:
    """The domains of the half called `half`, one of `HALVES`, in the installed package or in `folder`."""
    sizes = Counter(_domains(folder or package_folder()).values())
    return halves(sizes)[HALVES.index(half)]


@lru_cache(maxsize=4)
def _passages_of(folder: Path, kind: _Kind) -> list[Any]:
    docs = _passages(folder)[: SMOKE_PASSAGES if kind.smoke else None]
    if not kind.half:
        return docs
    domain_of, own = _domains(folder), half_domains(kind.half, folder)
    return [doc for doc in docs if domain_of.get(doc.doc_id) in own]


@lru_cache(maxsize=12)
def _questions_of(folder: Path, kind: _Kind, split: str) -> list[_Labelled]:
    rows = _questions(folder, split)
    if kind.smoke:
        inside = _restricted(rows, _passages_of(folder, _Kind(smoke=True)))
        rows = list(islice(inside, SMOKE_QUESTIONS[split]))
    if kind.half:
        own = half_domains(kind.half, folder)
        rows = list(_restricted((row for row in rows if row.question.domain in own), _passages_of(folder, kind)))
    return rows


def _restricted(rows: Iterable[_Labelled], docs: Iterable[Any]) -> Iterator[_Labelled]:
    """The questions that have a relevant passage among `docs`, with nothing but passages among them."""
    inside = {doc.doc_id for doc in docs}
    numbers = np.array([int(id) for id in inside], dtype=np.int32)
    for question, relevant, negatives in rows:
        found = tuple(id for id in relevant if id in inside)
        if found:
            yield _Labelled(question, found, negatives[np.isin(negatives, numbers, kind="table")])


def datasets(name: str, folder: Callable[[], Path] = package_folder) -> dict[str, Any]:
    """The ir_datasets objects of one of `NAMES` and its splits by id; nothing is read before its use.

    `folder` says where the package's four .json.gz files lie.
    """
    kind = _KINDS[name]
    docs = Docs(lambda: _passages_of(folder(), kind), GenericDoc, "en")
    parts = {name: ir_datasets.Dataset(docs)}
    for split in SPLITS:
        parts[f"{name}/{split}"] = _split(docs, partial(lambda split: _questions_of(folder(), kind, split), split))
    return parts


def _split(docs: Docs, labelled: Callable[[], list[_Labelled]]) -> Any:
    return ir_datasets.Dataset(
        docs,
        Queries(lambda: [row.question for row in labelled()], Question, "en"),
        Qrels(lambda: (GenericQrel(row.question.query_id, id, 1) for row in labelled() for id in row.relevant)),
        ScoredDocs(
            lambda: (
                GenericScoredDoc(row.question.query_id, str(id), 0.0)
                for row in labelled()
                for id in row.negatives.tolist()
            ),
            lambda: _first_named(labelled()),
        ),
    )


def _first_named(rows: list[_Labelled]) -> Iterator[Any]:
    """The first scoreddoc of each passage that is a negative: of 2.6 million, what a check has to read."""
    if rows:
        ids, places = np.unique(np.concatenate([row.negatives for row in rows]), return_index=True)
        ends = np.cumsum([len(row.negatives) for row in rows])
        for id, row in zip(ids.tolist(), np.searchsorted(ends, places, side="right").tolist(), strict=True):
            yield GenericScoredDoc(rows[row].question.query_id, str(id), 0.0)


def register() -> None:
    """Registers `NAMES` and their splits with ir_datasets; again changes nothing. Reads and writes nothing."""
    for name in NAMES:
        if name not in set(ir_datasets.registry):
            for id, dataset in datasets(name).items():
                ir_datasets.registry.register(id, dataset)


def collection(name: str, folder: Callable[[], Path] | None = None) -> Collection:
    """A registered name as a Collection; with `folder`, the same over files elsewhere, unregistered."""
    parts = {id: ir_datasets.load(id) for id in _ids(name)} if folder is None else datasets(name, folder)
    splits = {split: parts[f"{name}/{split}"] for split in SPLITS}
    return Collection(name, parts[name], splits, origin=PACKAGE.replace("==", " "))


def _ids(name: str) -> list[str]:
    return [name, *(f"{name}/{split}" for split in SPLITS)]
