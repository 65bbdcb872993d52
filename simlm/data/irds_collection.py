"""Data sets of ir_datasets as a collection: built-in ones, and `irds:ID`, its splits found by convention or named.

`irds:beir/fiqa` has the passages of beir/fiqa and the queries and qrels of beir/fiqa/train, /dev and /test. Where the
splits have other names, they are given behind the id, each as a whole id or as what follows it:

    irds:msmarco-passage,train=train/judged,valid=dev/small,test=trec-dl-2019/judged
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from simlm.data.catalogue import IRDS, SHARED_IDS, BuiltIn, relevant_grade
from simlm.data.collection import SPLITS, Collection, set_aside
from simlm.data.irds import Docs, GenericDoc, GenericQuery, Qrels, Queries, TitledDoc, ir_datasets
from simlm.errors import UserError

CONVENTIONS = {"train": ("train",), "valid": ("dev", "valid", "validation"), "test": ("test",)}
"""The names that a split has after the id, where it is not named."""


class _Spec(NamedTuple):
    base: str
    splits: dict[str, str]


def check_irds(text: str) -> str:
    """Return the data set's name for readers; UserError for an unknown id, or one that lacks what is needed.

    Downloads nothing: what an id has is asked of ir_datasets' own description.
    """
    return _spec(text).base


def irds_collection(text: str) -> Collection:
    """Open the data sets that ``text``, ``irds:ID``, names; UserError as for `check_irds`."""
    base, splits = _spec(text)
    docs = docs_of(text, ir_datasets.load(base))
    return Collection(
        base,
        ir_datasets.Dataset(docs),
        {split: split_of(text, docs, ir_datasets.load(id)) for split, id in splits.items()},
        any_title=lambda: any(doc.title.strip() for doc in docs.docs_iter()),
        description=f"The data set {base} of ir_datasets: {', '.join(splits.values())}.",
        origin=f"ir_datasets {ir_datasets.__version__}",
        registered=splits,
        relevant_from=_relevant_from(splits),
        shared_ids=base in SHARED_IDS,
    )


def built_in_collection(known: BuiltIn) -> Collection:
    """Open a built-in collection that is made of ``irds_ids``; UserError where its files cannot be fetched."""
    ids = {split: id for split, id in known.irds_ids.items() if split != "passages"}
    keep: dict[str, Callable[[str], bool]] = {}
    if ids["train"] == ids["valid"]:
        keep = {"train": lambda query: not set_aside(query), "valid": set_aside}
    docs = docs_of(known.name, ir_datasets.load(known.irds_ids["passages"]))
    return Collection(
        known.name,
        ir_datasets.Dataset(docs),
        {split: split_of(known.name, docs, ir_datasets.load(id), keep.get(split)) for split, id in ids.items()},
        description=known.description,
        origin=f"ir_datasets {ir_datasets.__version__}",
        registered=ids,
        relevant_from=_relevant_from(ids),
    )


def _relevant_from(ids: Mapping[str, str]) -> dict[str, int]:
    return {split: grade for split, id in ids.items() if (grade := relevant_grade(id)) != 1}


def docs_of(text: str, dataset: Any) -> Docs:
    """Return a data set's titles and texts, without ir_datasets' own stores, which it would write as pickles.

    ``text`` is what the reader wrote for it, for errors.
    """
    kind: Any = TitledDoc if "title" in dataset.docs_cls()._fields else GenericDoc

    def rows() -> Iterator[Any]:
        for doc in dataset.docs_iter():
            title = (doc.title or "",) if kind is TitledDoc else ()
            yield kind(doc.doc_id, *title, doc.text)

    return Docs(lambda: fetched(text, rows), kind, dataset.docs_lang())


def split_of(
    text: str,
    docs: Docs,
    dataset: Any,
    keep: Callable[[str], bool] | None = None,
    relevant: Callable[[Any], bool] | None = None,
) -> Any:
    """Return a data set's queries and qrels over ``docs``.

    Args:
        text: What the reader wrote for it, for errors.
        docs: The documents that its qrels name.
        dataset: The object of ir_datasets.
        keep: Says of a query's id whether to keep the query; all are kept without.
        relevant: Says of a qrel whether to keep it; all are kept without.
    """

    def queries() -> Iterator[Any]:
        rows = (GenericQuery(one.query_id, one.text) for one in dataset.queries_iter())
        return (row for row in rows if keep is None or keep(row.query_id))

    def qrels() -> Iterator[Any]:
        rows = (row for row in dataset.qrels_iter() if relevant is None or relevant(row))
        return (row for row in rows if keep is None or keep(row.query_id))

    return ir_datasets.Dataset(
        docs,
        Queries(lambda: fetched(text, queries), GenericQuery, dataset.queries_lang()),
        Qrels(lambda: fetched(text, qrels)),
    )


def fetched(text: str, rows: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Yield the rows; UserError where ir_datasets cannot fetch or read the files behind them."""
    try:
        yield from rows()
    except (OSError, RuntimeError, EOFError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{text}: ir_datasets cannot fetch or read its files ({reason}); see ir-datasets.com for what it needs"
        ) from None


def _spec(text: str) -> _Spec:
    """Return the ids that a text stands for, each checked."""
    base, *named = text.removeprefix(IRDS).split(",")
    docs = _load(text, base)
    if not docs.has_docs():
        raise UserError(f"{text}: {base} has no documents; give the id of a data set that has")
    _check_fields(text, base, docs.docs_cls(), "doc_id")
    given = dict(_named(text, base, one) for one in named)
    splits = {split: given[split] if split in given else _by_convention(text, base, split) for split in SPLITS}
    for split, id in splits.items():
        dataset = _load(text, id)
        if not dataset.has_queries() or not dataset.has_qrels():
            raise UserError(f"{text}: {id} lacks queries or qrels; name another data set, {split}=ID")
        _check_fields(text, id, dataset.queries_cls(), "query_id")
    if len(set(splits.values())) < len(splits):
        raise UserError(f"{text}: two splits are the same: nothing may be tuned or trained on test; name three")
    return _Spec(base, splits)


def _check_fields(text: str, id: str, row: type, key: str) -> None:
    fields: tuple[str, ...] = getattr(row, "_fields", ())
    if not {key, "text"} <= set(fields):
        raise UserError(
            f"{text}: rows of {id} have the fields {', '.join(fields)}; only "
            "passages and queries that have a text can be used"
        )


def _load(text: str, id: str) -> Any:
    try:
        return ir_datasets.load(id)
    except (KeyError, ValueError):
        raise UserError(f"{text}: ir_datasets {ir_datasets.__version__} has no {id!r}; see ir-datasets.com") from None


def _named(text: str, base: str, part: str) -> tuple[str, str]:
    split, equals, id = part.partition("=")
    if not equals or not id or split not in SPLITS:
        raise UserError(f"{text}: {part!r} names no split; write {', '.join(f'{split}=ID' for split in SPLITS)}")
    return split, f"{base}/{id}" if _known(f"{base}/{id}") else id


def _by_convention(text: str, base: str, split: str) -> str:
    found = next((f"{base}/{name}" for name in CONVENTIONS[split] if _known(f"{base}/{name}")), None)
    if found is None:
        tried = " or ".join(f"{base}/{name}" for name in CONVENTIONS[split])
        raise UserError(f"{text}: there is no {tried}; name the data set of this split: {text},{split}=ID")
    return found


def _known(id: str) -> bool:
    try:
        ir_datasets.load(id)
    except (KeyError, ValueError):
        return False
    return True
