"""What paper scale makes of public models: fresh weights in their shape, and RoBERTa under the bi-encoder."""

from pathlib import Path

import pytest
import torch
from transformers import BertForMaskedLM, ElectraForMaskedLM, RobertaConfig, RobertaForMaskedLM

from simlm.data.inputs import Specials, batch_inputs, passage_input
from simlm.data.tokenizer_training import train_byte_level_bpe
from simlm.errors import UserError
from simlm.models.load import load_body, load_masked_lm
from simlm.models.new import new_like
from simlm.models.save import save_model
from simlm.packed.cls_pooling import cls_states
from simlm.pretraining.generator import load_generator
from simlm.stages.work.fresh_models import save_first_layers
from tests.pretraining.toys import TOKENIZER, bert, electra


@pytest.mark.parametrize(("make", "kind"), [(bert, BertForMaskedLM), (electra, ElectraForMaskedLM)])
def test_a_fresh_model_has_the_shape_of_a_public_one_and_none_of_its_weights(make, kind, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = make()
    save_model(model, TOKENIZER, tmp_path / "public", "a public model", {})
    fresh, again, other = (new_like(tmp_path / "public", TOKENIZER, seed) for seed in (11, 11, 12))
    assert isinstance(fresh, kind)
    mine, theirs, new = fresh.state_dict(), model.state_dict(), other.state_dict()
    assert {name: one.shape for name, one in mine.items()} == {name: one.shape for name, one in theirs.items()}
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in mine.items()), "the seed decides"
    drawn = [name for name, one in mine.items() if one.dim() == 2]
    assert drawn and not any(torch.equal(mine[name], theirs[name]) for name in drawn)
    assert not any(torch.equal(mine[name], new[name]) for name in drawn)
    save_model(fresh, TOKENIZER, tmp_path / "fresh", "fresh", {})
    loaded = load_masked_lm(tmp_path / "fresh", TOKENIZER) if make is bert else load_generator(tmp_path / "fresh")
    assert all(torch.equal(one, mine[name]) for name, one in loaded.state_dict().items() if name in mine)


def roberta(folder: Path) -> None:
    """A model folder like roberta-base's: its own tokenizer, one token type, positions that begin behind padding."""
    tokenizer = train_byte_level_bpe(["a few words, and Others"] * 3, 300, folder / "pieces")
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    save_model(RobertaForMaskedLM(config), tokenizer, folder / "model", "a public model", {})


def test_roberta_is_read_by_the_bi_encoder_as_by_itself(tmp_path: Path) -> None:
    roberta(tmp_path)
    tokenizer = train_byte_level_bpe(["a few words, and Others"] * 3, 300, tmp_path / "again")
    body = load_body(tmp_path / "model", tokenizer).eval()
    assert not [name for name, _ in body.named_parameters() if "pooler" in name], "it would train on nothing"
    specials = Specials.of(tokenizer)
    texts = ["a few words", "Others, and others and a few more"]
    rows = [passage_input(None, tokenizer(text, add_special_tokens=False)["input_ids"], 30, specials) for text in texts]
    batch = batch_inputs(rows, specials)
    assert int(batch["token_type_ids"].max()) == 0
    with torch.no_grad():
        states = cls_states(body, batch)
        for text, state in zip(texts, states, strict=True):
            alone = body(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0]
            torch.testing.assert_close(state, alone, atol=1e-6, rtol=1e-5)


def test_a_fresh_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    roberta(tmp_path)
    with pytest.raises(UserError, match="a fresh model is BERT's or an ELECTRA generator's, not roberta's"):
        new_like(tmp_path / "model", TOKENIZER, 0)


def test_the_first_layers_of_a_public_encoder_compute_as_in_it(tmp_path: Path) -> None:
    save_model(bert().bert, TOKENIZER, tmp_path / "public", "a public model", {})
    save_first_layers(tmp_path / "public", 1, tmp_path / "model")
    whole, first = (load_body(tmp_path / name, TOKENIZER).eval() for name in ("public", "model"))
    ids = torch.arange(5, 15)[None]
    assert first.config.num_hidden_layers == 1 < whole.config.num_hidden_layers
    assert torch.equal(first(ids)[0], whole(ids, output_hidden_states=True).hidden_states[1])
