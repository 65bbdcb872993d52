"""Groups and their batches, teacher scores, and the scorer of pairs, over a small tokenised collection."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from transformers import BertConfig, BertModel, BertTokenizerFast

from simlm.data.collection import Passage, Query
from simlm.data.inputs import Specials
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.errors import UserError
from simlm.finetuning.biencoder import BiEncoder, BiEncoderCollator
from simlm.finetuning.datasets import BiEncoderGroups, Pairs, RerankerGroups
from simlm.finetuning.evaluations import RerankerEvaluation, mrr_of_run
from simlm.finetuning.negatives import NegativeLists, build_negative_lists
from simlm.finetuning.reranker import Reranker, RerankerCollator
from simlm.finetuning.scoring import PairScorer
from simlm.finetuning.teacher import TeacherScores, write_teacher_scores
from simlm.models.load import reranker_from_encoder
from simlm.packed.forwards import prepare
from simlm.packed.layouts import Inference
from simlm.packed.pack import Packer
from simlm.packed.texts import Packed, Padded
from simlm.retrieval.runs import Run
from tests.rows import collection_of

CPU = torch.device("cpu")
WORDS = ["life", "car", "home", "what", "is", "the", "cost", "of", "cover", "plan", "term", "policy"]
TITLES = ["", "car", "home plan", "term", "", "life cover"]
PASSAGES = [Passage(f"p{i}", TITLES[i % 6], " ".join(WORDS[i % 5 : 3 + i % 9])) for i in range(24)]
QUERIES = [Query("q0", "what is life cover"), Query("q1", "cost of home"), Query("q2", "car policy term")]
JUDGED = {"q0": {"p1": 1, "p5": 1}, "q2": {"p8": 1}}
LISTS = {"q0": ["p1", "p2", "p3", "p4"], "q2": ["p9", "p10", "p11", "p3"]}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> TokenisedCollection:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", *WORDS]
    tokenizer = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)}, do_lower_case=True)
    rows = collection_of("tiny", PASSAGES, {"train": (QUERIES, JUDGED)})
    return tokenise_collection(rows, tokenizer, tmp_path_factory.mktemp("store") / "tiny")


@pytest.fixture(scope="module")
def lists(collection: TokenisedCollection) -> NegativeLists:
    queries, passages = collection.queries("train"), collection.passages
    indices = np.stack([passages.ids.indices(row) for row in LISTS.values()])
    run = Run(list(LISTS), indices, np.zeros(indices.shape, dtype=np.float32))
    return build_negative_lists(run, queries.ids, collection.qrels("train"), len(passages), depth=3, total=6, seed=0)


def written(row: torch.Tensor, collection: TokenisedCollection) -> str:
    return str(collection.tokenizer.decode(row[row != collection.tokenizer.pad_token_id]))


def passage_text(index: int) -> str:
    title, text = PASSAGES[index].title, PASSAGES[index].text
    return " ".join(f"[CLS] {title} [SEP] {text} [SEP]".split())


def test_biencoder_batches_are_the_groups_of_the_epoch(collection: TokenisedCollection, lists: NegativeLists) -> None:
    groups = BiEncoderGroups(collection, "train", lists, 3, seed=7, query_length=6, passage_length=20)
    assert len(groups) == 2
    collator = BiEncoderCollator(Padded(Specials.of(collection.tokenizer)))
    for epoch in (0, 1, 5):
        groups.set_epoch(epoch)
        (batch,) = DataLoader(groups, batch_size=2, collate_fn=collator)
        asked, ranked = (texts.inputs for texts in batch.texts)
        assert batch.queries == 2 and batch.teacher_scores is None
        queries = [written(row, collection) for row in asked["input_ids"]]
        assert queries == ["[CLS] what is life cover [SEP]", "[CLS] car policy term [SEP]"]
        drawn = np.concatenate([lists.group(j, epoch, 7, 3) for j in range(2)])
        passages = [written(row, collection) for row in ranked["input_ids"]]
        assert passages == [passage_text(index) for index in drawn.tolist()]
        assert ranked["token_type_ids"].max() == 1


def test_reranker_batches_join_title_and_text(collection: TokenisedCollection, lists: NegativeLists) -> None:
    groups = RerankerGroups(collection, "train", lists, 4, seed=7, max_length=30)
    groups.set_epoch(2)
    collator = RerankerCollator(Padded(Specials.of(collection.tokenizer)), keep=2)
    (batch,) = DataLoader(groups, batch_size=2, collate_fn=collator)
    assert (batch.group_size, batch.keep, batch.share) == (4, 2, 1.0)
    expected = []
    for j in range(2):
        for index in lists.group(j, 2, 7, 4).tolist():
            title, text = PASSAGES[index].title, PASSAGES[index].text
            joined = f"{title} : {text}" if title else text
            expected.append(f"[CLS] {QUERIES[int(lists.queries[j])].text} [SEP] {joined} [SEP]")
    assert [written(row, collection) for row in batch.pairs.inputs["input_ids"]] == expected


@pytest.fixture
def encoder() -> BertModel:
    torch.manual_seed(5)
    config = BertConfig(vocab_size=18, hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    return BertModel(config, add_pooling_layer=False)


def test_teacher_scores_reach_the_distilled_student(
    collection: TokenisedCollection, lists: NegativeLists, encoder: BertModel, tmp_path: Path
) -> None:
    reranker = Reranker(reranker_from_encoder(encoder))
    pairs = Pairs(collection, "train", 30)
    padded = Padded(pairs.specials, pieces=2)
    scorer = PairScorer(Inference(reranker.eval().score, padded, CPU), pairs, batch_tokens=64)
    query, passage = lists.drawn(2, 7, 3)
    blocks = ((q, p, scorer(q, p)) for q, p in (lists.drawn(2, 7, 3, j, j + 1) for j in range(2)))
    teacher = write_teacher_scores(tmp_path / "teacher", len(query), blocks)
    assert len(teacher) == len(query)
    groups = BiEncoderGroups(collection, "train", lists, 3, 7, 8, 20, teacher)
    judged = RerankerGroups(collection, "train", lists, 3, 7, 30)
    for epoch in (0, 1):
        groups.set_epoch(epoch)
        judged.set_epoch(epoch)
        (batch,) = DataLoader(groups, batch_size=2, collate_fn=BiEncoderCollator(padded))
        (scored,) = DataLoader(judged, batch_size=2, collate_fn=RerankerCollator(padded, keep=3))
        expected = scored.pairs.apply(reranker.score).view(2, 3)
        torch.testing.assert_close(batch.teacher_scores, expected, atol=1e-6, rtol=0)
        loss = BiEncoder(encoder, 0.1, alpha=0.2)(batch)["loss"]
        loss.backward()
        assert loss.isfinite()
    groups.set_epoch(2)
    with pytest.raises(UserError, match="query number 0 and passage number"):
        groups[0]


def plain_mrr(scores: list[list[float]]) -> float:
    """By hand, from each group's scores, the positive's first: behind all that score as much or more."""
    ranks = [1 + sum(other >= own for other in others) for own, *others in scores]
    return sum(1 / rank for rank in ranks) / len(ranks)


@pytest.mark.parametrize("seed", range(4))
def test_positives_rank_in_their_groups_as_by_hand(
    collection: TokenisedCollection, lists: NegativeLists, encoder: BertModel, seed: int
) -> None:
    """By a run's scores, some of them equal and most passages outside it, and by the re-ranker's own."""
    groups = RerankerGroups(collection, "train", lists, 6, seed, 30)
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.permutation(len(PASSAGES))[:12] for _ in QUERIES])
    scores = -np.sort(rng.integers(-3, 3, indices.shape), axis=1).astype(np.float32)
    run = Run([query.id for query in QUERIES], indices, scores)
    by_run, by_model = [], []
    reranker = Reranker(reranker_from_encoder(encoder)).eval()
    pairs = Pairs(collection, "train", 30)
    score = Inference(reranker.score, Padded(pairs.specials), CPU)
    for row, query in enumerate(lists.queries.tolist()):
        passages = lists.group(row, 0, seed, 6).tolist()
        found = dict(zip(indices[query].tolist(), scores[query].tolist(), strict=True))
        by_run.append([found.get(passage, -math.inf) for passage in passages])
        by_model.append([float(score(score.collate([pairs(query, passage)]))[0]) for passage in passages])
    assert mrr_of_run(groups, run) == pytest.approx(plain_mrr(by_run))
    measured = RerankerEvaluation(groups, Padded(pairs.specials), CPU)(reranker)
    assert measured["mrr"] == pytest.approx(plain_mrr(by_model))
    assert measured["accuracy"] == pytest.approx(np.mean([own > max(others) for own, *others in by_model]))


def test_one_pair_at_a_time_scores_the_same(collection: TokenisedCollection, encoder: BertModel) -> None:
    reranker = Reranker(reranker_from_encoder(encoder)).eval()
    pairs = Pairs(collection, "train", 30)
    query, passage = np.repeat([0, 1, 2], 5), np.arange(15)
    score = Inference(reranker.score, Padded(pairs.specials), CPU)
    together = PairScorer(score, pairs, batch_tokens=10**6)(query, passage)
    alone = PairScorer(score, pairs, batch_tokens=1)(query, passage)
    assert together.dtype == np.float32
    np.testing.assert_allclose(alone, together, atol=1e-6)
    prepare(reranker, compiled=False)
    packs = Inference(reranker.score, Packed(Packer(pairs.specials.pad, 60)), CPU)
    packed = PairScorer(packs, pairs, batch_tokens=100)(query, passage)
    np.testing.assert_allclose(packed, together, atol=1e-6)


def table(folder: Path, size: int = 4) -> TeacherScores:
    blocks = [
        (np.array([1, 1]), np.array([4, 9]), np.array([0.5, -1.0], dtype=np.float32)),
        (np.array([], dtype=np.int64), np.array([], dtype=np.int64), np.array([], dtype=np.float32)),
        (np.array([1, 3]), np.array([11, 2]), np.array([2.0, 3.0], dtype=np.float32)),
    ]
    return write_teacher_scores(folder, size, blocks)


def test_lookup(tmp_path: Path) -> None:
    teacher = table(tmp_path / "teacher")
    assert teacher.lookup(1, np.array([11, 4, 9, 4])).tolist() == [2.0, 0.5, -1.0, 0.5]
    assert teacher.lookup(3, np.array([2])).dtype == np.float32
    again = pickle.loads(pickle.dumps(teacher))
    assert again.lookup(3, np.array([2])).tolist() == [3.0]
    for query, passage in ((1, 5), (1, 12), (3, 4), (2, 2), (0, 4), (9, 1)):
        with pytest.raises(UserError, match=f"query number {query} and passage number {passage}:"):
            teacher.lookup(query, np.array([passage]))
    with pytest.raises(UserError, match="query.npy"):
        TeacherScores.open(tmp_path / "none")


@pytest.mark.parametrize("size", [3, 5])
def test_a_wrong_number_of_scores_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match="teacher scores"):
        table(tmp_path / "teacher", size)


@pytest.mark.parametrize(
    ("query", "passage", "score"),
    [([1, 1], [4, 4], [0, 0]), ([2, 1], [4, 5], [0, 0]), ([1, 2], [4, 5], [0, np.nan])],
)
def test_unsorted_repeated_or_broken_scores_are_refused(
    tmp_path: Path, query: list[int], passage: list[int], score: list[float]
) -> None:
    block = (np.array(query), np.array(passage), np.array(score, dtype=np.float32))
    with pytest.raises(ValueError, match="finite"):
        write_teacher_scores(tmp_path / "teacher", 2, [block])
