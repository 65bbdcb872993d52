"""What a collection holds, and what its splits share: a report states both."""

from typing import Any

from simlm.data.ids import digest, digests_of, duplicated
from simlm.data.source import Collection


def statistics(collection: Collection) -> dict[str, Any]:
    """Counts of a collection, JSON-able.

    `passages`: their number; `duplicate_passage_texts`: texts, with their titles, that occur more than once;
    `splits`: for each split its `queries`, its `qrels` above grade 0, and `relevant_per_query`, the mean over
    all queries; `overlaps`: for each split but `train`, where there is one, `queries_in_train`: queries whose
    text is a train query's, and `positives_in_train`: distinct relevant passages that are relevant in train.
    Texts are the same when only case and white space differ; they are compared by 64-bit digests, which takes
    8 bytes a passage.
    """
    texts = digests_of(f"{_folded(passage.title)}\0{_folded(passage.text)}" for passage in collection.passages())
    queries: dict[str, list[int]] = {}
    positives: dict[str, set[str]] = {}
    splits: dict[str, Any] = {}
    for split in collection.splits:
        queries[split] = [digest(_folded(query.text)) for query in collection.queries(split)]
        relevant = [passage for row in collection.qrels(split).values() for passage, grade in row.items() if grade > 0]
        positives[split] = set(relevant)
        splits[split] = {
            "queries": len(queries[split]),
            "qrels": len(relevant),
            "relevant_per_query": len(relevant) / max(1, len(queries[split])),
        }
    train = set(queries.get("train", ()))
    overlaps = {
        split: {
            "queries_in_train": sum(query in train for query in queries[split]),
            "positives_in_train": len(positives[split] & positives["train"]),
        }
        for split in collection.splits
        if "train" in splits and split != "train"
    }
    return {
        "passages": len(texts),
        "duplicate_passage_texts": len(duplicated(texts)),
        "splits": splits,
        "overlaps": overlaps,
    }


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
