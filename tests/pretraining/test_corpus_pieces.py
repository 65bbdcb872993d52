"""Pre-training with the corpus's pieces alone: the full softmax without the others, and all pieces again at the end."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simlm.data.collection import Passage, Query
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.errors import UserError
from simlm.models.load import load_body, load_masked_lm
from simlm.models.save import save_model
from simlm.pretraining.corpus_pieces import CorpusPieces
from simlm.pretraining.mlm import MaskedLM
from simlm.pretraining.objective import Example, Objective
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.scales.settings import Optimisation, PretrainingSettings
from simlm.stages.models import HEAD_MLM
from simlm.stages.work.fresh_models import save_first_layers, save_with_head
from simlm.stages.work.pretraining import keep_snapshot, pretrain
from simlm.training.batches import MicroBatches
from tests.pretraining.toys import CONFIG, PIECES, TOKENIZER, VOCABULARY, bert, corpus, electra, examples
from tests.rows import collection_of
from tests.training.toys import Collator, Killed, assert_equal

USED = [0, 1, 2, 3, 4, 6, 9, 14, 20, 27, 33, 38]
KEPT = torch.tensor(USED)
OTHERS = torch.tensor([one for one in range(len(VOCABULARY)) if one not in USED])
WEIGHT, BIAS = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"

SETTINGS = PretrainingSettings.C(
    optimisation=Optimisation.C(learning_rate=1e-2, batch_size=8, steps=4, warmup_steps=1, schedule="linear", seed=3),
    max_length=24,
    encoder_rate=0.3,
    decoder_rate=0.5,
    generator_dropout=False,
    held_out=8,
    corpus_pieces=True,
)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> TokenisedCollection:
    """It lacks many pieces."""
    texts = [Passage(name, title, text) for name, title, text in corpus(60)]
    query = {split: ([Query("q", "word3")], {"q": {"p0": 1}}) for split in ("train", "valid", "test")}
    folder = tmp_path_factory.mktemp("collection") / "store"
    return tokenise_collection(collection_of("toy", texts, query), TOKENIZER, folder)


def some() -> CorpusPieces:
    numbers = np.zeros(len(VOCABULARY), dtype=np.int32)
    numbers[USED] = np.arange(len(USED))
    return CorpusPieces(np.array(USED), numbers)


def rows(numbers: Any) -> list[Example]:
    """Passages of the used pieces, in their numbers."""
    rng, found = np.random.default_rng(3), []
    for one in examples([22, 17, 30], titled=True):
        words = one.ids > 4
        one.ids[words] = rng.choice(USED[5:], words.sum())
        found.append(Example(one.passage, one.epoch, numbers[one.ids], one.types))
    return found


def outcome(models: list[Any], pieces: CorpusPieces | None) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    """The loss, its gradients, and what the generator made both sides read, in the vocabulary's numbers.

    Without ``pieces`` all others have logits of minus infinity.
    """
    for model in models if pieces is None else ():
        with torch.no_grad():
            model.get_output_embeddings().bias[OTHERS] = -torch.inf
    read: list[Tensor] = []
    with nullcontext() if pieces is None else pieces.only_in(*models):
        words, numbers = (
            (PIECES, np.arange(len(VOCABULARY))) if pieces is None else (pieces.words(PIECES), pieces.numbers)
        )
        objective: Objective = MaskedLM.build(models[0], None, words, CONFIG)
        if len(models) == 2:
            objective = ReplacedLM.build(models[0], models[1], words, CONFIG)
            objective.replacer.register_forward_hook(lambda *arguments: read.append(arguments[-1]))
        loss = objective(**objective.collator(rows(numbers)))["loss"]
        loss.backward()
        gradients = {name: one.grad for name, one in objective.named_parameters() if one.grad is not None}
    return loss, gradients, read if pieces is None else [KEPT[one] for one in read]


@pytest.mark.parametrize("kinds", [(electra,), (bert,), (bert, electra)], ids=["generator", "head", "replaced LM"])
def test_it_is_the_full_softmax_with_all_other_logits_at_minus_infinity(kinds: tuple[Any, ...]) -> None:
    """Loss, gradients, and the tokens that the generator draws, which are the corpus's alone."""
    expected, whole, drawn = outcome([kind() for kind in kinds], None)
    loss, gradients, read = outcome([kind() for kind in kinds], some())
    torch.testing.assert_close(loss, expected)
    assert gradients.keys() == whole.keys() and len(gradients) > 20
    for name, gradient in whole.items():
        if len(gradient) == len(VOCABULARY):
            assert not gradient[OTHERS].any(), name
            gradient = gradient[KEPT]
        torch.testing.assert_close(gradients[name], gradient, atol=1e-6, rtol=1e-4)
    assert len(read) == 2 * (len(kinds) - 1)
    for one, other in zip(read, drawn, strict=True):
        assert torch.equal(one, other) and set(one.unique().tolist()) <= {*USED}


def test_a_model_whose_head_has_a_matrix_of_its_own_is_refused() -> None:
    model = bert()
    model.cls.predictions.decoder.weight = torch.nn.Parameter(model.cls.predictions.decoder.weight.detach().clone())
    with pytest.raises(UserError, match="its MLM head does not share the matrix"), some().only_in(model):
        pass
    assert model.config.vocab_size == len(VOCABULARY)


def pretrained(collection: TokenisedCollection, generator: Path | None, objective: str, start: Path, name: str) -> Any:
    """Pre-train with the corpus's pieces alone, beside the folder of the start; return the figures."""
    model, work, output = (start.parent / f"{name}{end}" for end in ("", " work", " output"))
    output.mkdir(exist_ok=True)
    return pretrain(collection, start, generator, objective, SETTINGS, [2], "cpu", False, work, output, model)


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    collection: TokenisedCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, generator, made = (tmp_path / name for name in ("start", "generator", "simlm"))
    save_model(bert(dropout=0.2), TOKENIZER, start, "toy", {})
    save_model(electra(), TOKENIZER, generator, "toy", {})
    given = collection, generator, "replaced_lm", start
    pretrained(*given, "whole")

    def stopping(objective: Objective, *_: Any) -> MicroBatches:
        return MicroBatches(Collator(objective.collator, killed_at=4))

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("simlm.stages.work.pretraining.batches_of", stopping)
        pretrained(*given, "simlm")
    assert pretrained(*given, "simlm")["resumed_from_step"] > 0
    whole = load_masked_lm(tmp_path / "whole", TOKENIZER)
    assert_equal(load_masked_lm(made, TOKENIZER).state_dict(), whole.state_dict())


def test_a_public_encoder_gets_a_head_has_a_generator_made_of_it_and_is_pre_trained(
    collection: TokenisedCollection, tmp_path: Path
) -> None:
    """As the stages of the scale small do it, on a corpus that lacks many pieces, and after half of the updates."""
    chosen = CorpusPieces.of(collection, True)
    assert chosen.kept.tolist() == list(range(25)) and CorpusPieces.of(collection, False).kept.tolist() == list(
        range(40)
    )
    folders = {name: tmp_path / name for name in ("public", "head", "base", "part", "fresh", "generator", "simlm")}

    def train(start: str, generator: str | None, objective: str, name: str) -> dict[str, Any]:
        given = None if generator is None else folders[generator]
        found: dict[str, Any] = pretrained(collection, given, objective, folders[start], name)
        return found

    save_model(bert(seed=5).bert, TOKENIZER, folders["public"], "toy", {})
    save_with_head(folders["public"], collection, False, 7, folders["head"])
    save_first_layers(folders["public"], 1, folders["part"])
    save_with_head(folders["part"], collection, True, 7, folders["fresh"])
    train("head", None, HEAD_MLM, "base")
    train("fresh", None, "mlm", "generator")
    figures = train("base", "generator", "replaced_lm", "simlm")
    assert figures["held_out_loss"] > 0
    public, healed = load_body(folders["public"], TOKENIZER), load_body(folders["base"], TOKENIZER)
    assert all(torch.equal(one, healed.state_dict()[name]) for name, one in public.state_dict().items())
    head, trained = (load_masked_lm(folders[name], TOKENIZER).state_dict() for name in ("head", "base"))
    assert {name for name in head if not torch.equal(head[name], trained[name])} >= {
        BIAS,
        "cls.predictions.transform.dense.weight",
    }
    assert head[BIAS][5:25].min() > head[BIAS][25:].max(), "frequencies"
    parts = [load_masked_lm(folders[name], TOKENIZER) for name in ("fresh", "generator")]
    assert [one.config.num_hidden_layers for one in parts] == [1, 1]
    first: Any = parts[0].base_model
    assert torch.equal(first.encoder.layer[0].output.dense.weight, public.encoder.layer[0].output.dense.weight)
    whole = load_masked_lm(folders["simlm"], TOKENIZER)
    keep_snapshot(
        collection,
        pretrained=folders["simlm"],
        output=tmp_path / "simlm output",
        step=2,
        corpus_pieces=True,
        what="toy",
        model=tmp_path / "half",
    )
    for model in (whole, load_masked_lm(tmp_path / "half", TOKENIZER)):
        weights = model.state_dict()
        assert model.config.vocab_size == len(weights[WEIGHT]) == len(VOCABULARY)
        for name in (WEIGHT, BIAS):
            same = (weights[name] == trained[name]).reshape(len(VOCABULARY), -1).all(dim=1)
            assert same[25:].all() and not same[5:25].any(), name
