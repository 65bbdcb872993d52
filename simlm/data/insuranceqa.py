"""InsuranceQA (Feng et al. 2015), English side, from the data files of the package insuranceqa-data 1.2.

- `insuranceqa`: 27,413 passages (answers), ordered by their number; 12,889 train, 2,000 valid and 2,000 test questions,
  each with its relevant answers and the package's 200 hard negatives (score 0: it does not say why they rank);
- `insuranceqa-smoke`, for tests that take seconds: the first 600 passages; of each split the first questions (64, 32
  and 32) that have a relevant passage among them. What lies outside the 600 is dropped, so a question can be left
  without negatives;
- `insuranceqa-life` and `insuranceqa-auto`, Table 10's corpora below paper scale: two halves of whole domains
  (`dealt_out`) with 13,702 and 13,711 passages. `life` holds life, disability, long-term-care and renters insurance,
  `auto` the other eight. A half has the questions of its domains that have a relevant passage in it. A passage belongs
  to the domain of the first question that it answers, in the order train, valid, test (13 answer questions of two);
- `insuranceqa-smoke-life` and `insuranceqa-smoke-auto`: what the two have of `insuranceqa-smoke`.

Ids are the package's own; question ids repeat between splits. Double spaces are collapsed.
"""

import gzip
import importlib.util
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain, combinations, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simlm.data.catalogue import HALVES, INSURANCEQA, SMOKE
from simlm.data.collection import SPLITS, Collection
from simlm.data.irds import (
    Docs,
    GenericDoc,
    GenericQrel,
    GenericScoredDoc,
    Qrels,
    Queries,
    ScoredDocs,
    ir_datasets,
    register,
)
from simlm.errors import UserError

PACKAGE = "insuranceqa-data==1.2"
_MEND = f"reinstall it: pip install --force-reinstall --no-deps {PACKAGE}"


class _Kind(NamedTuple):
    """Which of the package's rows a collection holds."""

    smoke: bool = False
    half: str = ""


_KINDS = {
    f"{whole.name}{'-' * bool(half)}{half}": _Kind(whole is SMOKE, half)
    for whole in (INSURANCEQA, SMOKE)
    for half in ("", *whole.halves)
}


class Question(NamedTuple):
    """A question with the insurance it asks about (`life-insurance`, `medicare-insurance`, ...)."""

    query_id: str
    text: str
    domain: str

    def default_text(self) -> str:
        """Return the text."""
        return self.text


class _Labelled(NamedTuple):
    question: Question
    relevant: tuple[str, ...]
    negatives: np.ndarray  # int32: 2.6 million ids as strings would take 150 MB


def package_folder() -> Path:
    """Return the folder of the installed package, found without importing it; UserError when it is not installed."""
    spec = importlib.util.find_spec("insuranceqa_data")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"InsuranceQA is not installed: pip install {PACKAGE}")
    return Path(next(iter(spec.submodule_search_locations)))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object of the file; json itself would keep the last of two fields of one name and say nothing."""
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
    """Return the fields of a row by name, each of the kind it has to be."""
    if not isinstance(row, dict) or not kinds.keys() <= row.keys():
        raise UserError(f"{path}: row {id!r} lacks one of {', '.join(kinds)}; {_MEND}")
    for name, kind in kinds.items():
        if not isinstance(row[name], kind):
            shown = "a text" if kind is str else "a list"
            raise UserError(f"{path}: row {id!r} has the {name} {json.dumps(row[name])[:40]}, not {shown}; {_MEND}")
    return [row[name] for name in kinds]


def _numbers(path: Path, id: str, name: str, ids: list[Any]) -> np.ndarray:
    """Return a row's list of passage ids, numbers written as texts, as int32 (n,)."""
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
    """Return the answers as GenericDoc; the file is one JSON object, so it is read whole, once (25 MB kept)."""
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
    """Return the domain of every passage: that of the first question that it answers."""
    found: dict[str, str] = {}
    for split in SPLITS:
        for question, relevant, _ in _questions(folder, split):
            for passage in relevant:
                found.setdefault(passage, question.domain)
    return found


def half_domains(half: str, folder: Path) -> frozenset[str]:
    """Return the domains of the half called ``half``, one of ``HALVES``, in the package's files in ``folder``."""
    return dealt_out(Counter(_domains(folder).values()))[HALVES.index(half)]


def dealt_out(sizes: Mapping[str, int]) -> tuple[frozenset[str], frozenset[str]]:
    """Deal whole domains out to two halves that differ least in their number of passages.

    Of equally good ways the first is taken, by the names of the domains that go with the largest one. Tries all
    2^(n - 1) ways: meant for a dozen domains.

    Args:
        sizes: The number of passages of every domain.

    Returns:
        The domains of both halves, the largest domain's half first.

    Raises:
        ValueError: There are fewer than two domains.
    """
    if len(sizes) < 2:
        raise ValueError(f"two halves of whole domains need two domains, not {len(sizes)}")
    total = sum(sizes.values())
    largest, *others = sorted(sizes, key=lambda domain: (-sizes[domain], domain))
    others.sort()
    ways = chain.from_iterable(combinations(others, count) for count in range(len(others)))

    def difference(way: tuple[str, ...]) -> int:
        return abs(total - 2 * (sizes[largest] + sum(sizes[domain] for domain in way)))

    best = min(ways, key=lambda way: (difference(way), way))
    first = frozenset((largest, *best))
    return first, frozenset(sizes) - first


@lru_cache(maxsize=4)
def _passages_of(folder: Path, kind: _Kind) -> list[Any]:
    docs = _passages(folder)[: SMOKE.passages if kind.smoke else None]
    if not kind.half:
        return docs
    domain_of, own = _domains(folder), half_domains(kind.half, folder)
    return [doc for doc in docs if domain_of.get(doc.doc_id) in own]


@lru_cache(maxsize=12)
def _questions_of(folder: Path, kind: _Kind, split: str) -> list[_Labelled]:
    rows = _questions(folder, split)
    if kind.smoke:
        inside = _restricted(rows, _passages_of(folder, _Kind(smoke=True)))
        rows = list(islice(inside, SMOKE.queries[split]))
    if kind.half:
        own = half_domains(kind.half, folder)
        rows = list(_restricted((row for row in rows if row.question.domain in own), _passages_of(folder, kind)))
    return rows


def _restricted(rows: Iterable[_Labelled], docs: Iterable[Any]) -> Iterator[_Labelled]:
    """Yield the questions that have a relevant passage among ``docs``, without passages that are not among them."""
    inside = {doc.doc_id for doc in docs}
    numbers = np.array([int(id) for id in inside], dtype=np.int32)
    for question, relevant, negatives in rows:
        found = tuple(id for id in relevant if id in inside)
        if found:
            yield _Labelled(question, found, negatives[np.isin(negatives, numbers, kind="table")])


def collection(name: str, location: str = "", digest: str = "") -> Collection:
    """Open one of the collections above; registered with ir_datasets where it is the installed package's.

    Args:
        name: Its name.
        location: A folder with the package's four .json.gz files; "" for the installed package.
        digest: Not used: a stage compares the content (`simlm.stages.data.Prepare.outdated`).
    """
    kind = _KINDS[name]
    folder = Path(location) if location else package_folder()
    docs = Docs(lambda: _passages_of(folder, kind), GenericDoc, "en")
    whole = ir_datasets.Dataset(docs)
    datasets = {split: _split(docs, partial(_questions_of, folder, kind, split)) for split in SPLITS}
    registered = {split: f"{name}/{split}" for split in SPLITS}
    if not location:
        register({name: whole} | {registered[split]: datasets[split] for split in SPLITS})
    return Collection(
        name,
        whole,
        datasets,
        description=_description(name, kind, folder),
        origin=PACKAGE.replace("==", " "),
        registered=registered,
    )


def _description(name: str, kind: _Kind, folder: Path) -> str:
    if not kind.half:
        return (SMOKE if kind.smoke else INSURANCEQA).description
    domains = ", ".join(sorted(half_domains(kind.half, folder)))
    return f"One of two halves of {name.removesuffix(f'-{kind.half}')} of whole domains: {domains}."


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
    """Yield the first scoreddoc of each passage that is a negative: of 2.6 million, what a check has to read."""
    if rows:
        ids, places = np.unique(np.concatenate([row.negatives for row in rows]), return_index=True)
        ends = np.cumsum([len(row.negatives) for row in rows])
        for id, row in zip(ids.tolist(), np.searchsorted(ends, places, side="right").tolist(), strict=True):
            yield GenericScoredDoc(rows[row].question.query_id, str(id), 0.0)
