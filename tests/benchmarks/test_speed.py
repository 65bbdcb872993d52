"""Each hot path against the straightforward way to do it with plain transformers, in one run.

`python -m pytest tests/benchmarks --benchmark-enable --benchmark-group-by=group` prints both of a group, with ratios.
Nothing is asserted about time: machines differ.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional

from simlm.data.inputs import passage_input
from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded, PaddedTexts
from simlm.pretraining.dataset import PassageExamples
from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import ObjectiveConfig
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from simlm.retrieval.search import search

MAX_LENGTH = 64
BATCH = 32
ROUNDS = {"rounds": 5, "iterations": 1, "warmup_rounds": 1}


def padded(texts, tokenizer):
    return tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt")


@pytest.fixture
def objective(encoder, generator, tokenizer):
    return ReplacedLM.build(encoder, generator, WordPieces.of(tokenizer), ObjectiveConfig(0.3, 0.5, False, 0))


@pytest.mark.benchmark(group="pre-training step")
def test_pretraining(benchmark, objective, store, specials):
    examples = PassageExamples(store, np.arange(len(store)), specials, MAX_LENGTH)
    rows = np.argsort(examples.lengths)[len(store) // 2 :][:BATCH]

    def step():
        batch = objective.collator([examples[row] for row in rows.tolist()])
        objective(**batch)["loss"].backward()

    benchmark.pedantic(step, **ROUNDS)


@pytest.mark.benchmark(group="pre-training step")
def test_pretraining_straightforward(benchmark, objective, texts, tokenizer, generator, encoder):
    """Padded to the maximum length, logits at every position, a full softmax for the generator."""
    inputs = padded(sorted(texts, key=len)[len(texts) // 2 :][:BATCH], tokenizer)
    ids, attention = inputs["input_ids"], inputs["attention_mask"]
    model = objective.model

    def fill(rate):
        masked = (torch.rand(ids.shape) < rate) & (ids > 4)
        with torch.no_grad():
            logits = generator(input_ids=ids.masked_fill(masked, 4), attention_mask=attention).logits
            drawn = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1).view_as(ids)
        return torch.where(masked, drawn, ids)

    def step():
        hidden = model.encode(fill(0.3), attention, torch.zeros_like(ids))
        decoded = model.decode(hidden[:, 0], fill(0.5), attention)
        labels = ids.masked_fill(ids <= 4, -100)
        loss = sum(
            functional.cross_entropy(encoder.cls(states).flatten(0, 1), labels.flatten())
            for states in (hidden, decoded)
        )
        loss.backward()

    benchmark.pedantic(step, **ROUNDS)


def pairs(store, specials):
    from simlm.data.inputs import batch_inputs

    return batch_inputs(
        [passage_input(None, store.text(number), MAX_LENGTH * 2, specials) for number in range(2 * BATCH)], specials
    )


@pytest.mark.benchmark(group="fine-tuning step")
def test_finetuning(benchmark, encoder, store, specials):
    model = BiEncoder(encoder.bert, 0.05)
    inputs = pairs(store, specials)
    queries = {name: tensor[:BATCH, :16] for name, tensor in inputs.items()}
    batch = BiEncoderBatch((PaddedTexts(queries), PaddedTexts(inputs, pieces=4)), BATCH)
    benchmark.pedantic(lambda: model(batch)["loss"].backward(), **ROUNDS)


@pytest.mark.benchmark(group="fine-tuning step")
def test_finetuning_straightforward(benchmark, encoder, store, specials):
    """Every passage padded to the longest of the batch; the same loss, with its four blocks."""
    own = torch.eye(BATCH, dtype=torch.bool)
    inputs = pairs(store, specials)
    queries = {name: tensor[:BATCH, :16] for name, tensor in inputs.items()}

    def step():
        one, other = (
            functional.normalize(encoder.bert(**part).last_hidden_state[:, 0], dim=-1) for part in (queries, inputs)
        )
        positives = other[::2]
        others = [
            block.masked_fill(own, -torch.inf) for block in (positives @ one.T, one @ one.T, positives @ positives.T)
        ]
        logits = torch.cat([one @ other.T, *others], dim=1) / 0.05
        functional.cross_entropy(logits, torch.arange(0, 2 * BATCH, 2)).backward()

    benchmark.pedantic(step, **ROUNDS)


@pytest.mark.benchmark(group="encode")
def test_encode(benchmark, encoder, store, specials, tmp_path):
    model = BiEncoder(encoder.bert, 1.0).eval()
    number = iter(range(100))
    encode = Inference(model.encode, Padded(specials), torch.device("cpu"))
    benchmark.pedantic(
        lambda: encode_texts(encode, store, specials, tmp_path / str(next(number)), MAX_LENGTH * 2), **ROUNDS
    )


@pytest.mark.benchmark(group="encode")
def test_encode_straightforward(benchmark, encoder, texts, tokenizer):
    """Batches in the collection's order, each padded to its longest passage; tokenised on the way, as is usual."""
    model = encoder.bert.eval()

    def encode():
        found = []
        with torch.no_grad():
            for start in range(0, len(texts), 64):
                batch = tokenizer(
                    texts[start : start + 64],
                    padding=True,
                    truncation=True,
                    max_length=MAX_LENGTH * 2,
                    return_tensors="pt",
                )
                found.append(functional.normalize(model(**batch).last_hidden_state[:, 0], dim=-1).numpy())
        return np.concatenate(found)

    benchmark.pedantic(encode, **ROUNDS)


@pytest.mark.benchmark(group="encode")
def test_encode_sentence_transformers(benchmark, model_folder, texts):
    from sentence_transformers import SentenceTransformer, models

    body = models.Transformer(str(model_folder), max_seq_length=MAX_LENGTH * 2)
    pooling = models.Pooling(body.get_embedding_dimension(), pooling_mode="cls")
    model = SentenceTransformer(modules=[body, pooling, models.Normalize()], device="cpu")
    benchmark.pedantic(lambda: model.encode(texts, batch_size=64, show_progress_bar=False), **ROUNDS)


@pytest.fixture
def vectors():
    generator = np.random.default_rng(0)
    return [generator.standard_normal((rows, 128)).astype(np.float32) for rows in (1_000, 27_413)]


@pytest.fixture
def embeddings(vectors, tmp_path) -> Embeddings:
    from tests.retrieval.test_search import stored

    return stored(tmp_path, vectors[1], 10_000)


@pytest.mark.benchmark(group="search")
def test_search(benchmark, vectors, embeddings):
    benchmark.pedantic(lambda: search(vectors[0], embeddings, 1_000), **ROUNDS)


@pytest.mark.benchmark(group="search")
def test_search_faiss(benchmark, vectors, embeddings):
    """faiss for each tile, with the same ties."""
    benchmark.pedantic(lambda: search(vectors[0], embeddings, 1_000, faiss=True), **ROUNDS)


@pytest.mark.benchmark(group="search")
def test_search_straightforward(benchmark, vectors):
    """All scores at once, sorted in full."""
    benchmark.pedantic(lambda: np.argsort(-(vectors[0] @ vectors[1].T), axis=1, kind="stable")[:, :1_000], **ROUNDS)
