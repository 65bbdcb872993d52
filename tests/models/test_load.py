"""Checkpoint folders that are none, or another model's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertModel, BertTokenizerFast, PreTrainedModel

from simlm.errors import UserError
from simlm.models.fetch import copy_model
from simlm.models.load import load_body, load_masked_lm, load_reranker, load_reranker_start
from simlm.models.save import save_model
from simlm.pretraining.generator import load_generator
from tests.pretraining.toys import TOKENIZER, VOCABULARY, bert, electra

Load = Callable[[Path], PreTrainedModel]


def encoder_of(folder: Path) -> PreTrainedModel:
    return load_masked_lm(folder, TOKENIZER)


def body_of(folder: Path) -> PreTrainedModel:
    return load_body(folder, TOKENIZER)


def reranker_of(folder: Path) -> PreTrainedModel:
    return load_reranker(folder, TOKENIZER)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Load, Path]:
    """A good checkpoint for each of the functions that load one."""
    root = tmp_path_factory.mktemp("models")
    save_model(bert(), TOKENIZER, root / "bert", "an encoder", {"steps": 3})
    save_model(electra(), TOKENIZER, root / "electra", "a generator", {})
    save_model(load_reranker_start(root / "electra", TOKENIZER, 0.1), TOKENIZER, root / "reranker", "a re-ranker", {})
    return {
        encoder_of: root / "bert",
        body_of: root / "bert",
        load_generator: root / "electra",
        reranker_of: root / "reranker",
    }


LOADERS = [encoder_of, body_of, load_generator, reranker_of]
each_loader = pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)


def test_a_generators_output_norm_as_in_the_released_runs(folders: dict[Load, Path]) -> None:
    """transformers 4.15 left torch's default in place, which tells where a row hardly varies."""
    rows = torch.tensor([[1e-3, 2e-3, 3e-3, 6e-3] * 4])
    for epsilon, used in ((0.0, 1e-12), (1e-5, 1e-5)):
        norm = load_generator(folders[load_generator], epsilon).generator_predictions.LayerNorm
        plain = (rows - rows.mean()) / (rows.var(correction=0) + used).sqrt()
        assert torch.allclose(norm(rows), plain * norm.weight + norm.bias, atol=1e-5)


@each_loader
def test_what_was_saved_comes_back(folders: dict[Load, Path], load: Load) -> None:
    model = load(folders[load])
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    again = load(folders[load])
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_an_encoder_is_saved_for_everybody(folders: dict[Load, Path]) -> None:
    folder = folders[encoder_of]
    ours, body = load_masked_lm(folder, TOKENIZER), AutoModel.from_pretrained(folder)
    for name, weight in ours.bert.named_parameters():
        assert torch.equal(weight, body.get_parameter(name))
        assert torch.equal(weight, bert().bert.get_parameter(name))
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers") and "# an encoder" in card and '"steps": 3' in card
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}


@each_loader
def test_a_folder_that_is_no_checkpoint(tmp_path: Path, load: Load) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match="not a ") as caught:
            load(folder)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@each_loader
@pytest.mark.parametrize("kept", [0, 5, 500, -1])
def test_truncated_weights(folders: dict[Load, Path], tmp_path: Path, load: Load, kept: int) -> None:
    copy = Path(shutil.copytree(folders[load], tmp_path / "copy"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(UserError, match="not a checkpoint of") as caught:
        load(copy)
    assert "\n" not in str(caught.value)


@each_loader
def test_a_damaged_configuration(folders: dict[Load, Path], tmp_path: Path, load: Load) -> None:
    copy = Path(shutil.copytree(folders[load], tmp_path / "copy"))
    (copy / "config.json").write_text((copy / "config.json").read_text()[:30])
    with pytest.raises(UserError, match="not a "):
        load(copy)


@each_loader
def test_weights_of_another_size(folders: dict[Load, Path], tmp_path: Path, load: Load) -> None:
    copy = Path(shutil.copytree(folders[load], tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"intermediate_size": 40}))
    with pytest.raises(UserError, match=r"not a checkpoint of .* is of size \(48,\), by its config.json \(40,\)\)"):
        load(copy)


@each_loader
@pytest.mark.parametrize("content", ["[]", "3", '{"hidden_size": "x"}', '{"num_hidden_layers": 0}', "layers 1"])
def test_a_configuration_of_the_wrong_kind(folders: dict[Load, Path], tmp_path: Path, load: Load, content: str) -> None:
    copy = Path(shutil.copytree(folders[load], tmp_path / "copy"))
    found = json.loads((copy / "config.json").read_text())
    wanted = {"num_hidden_layers": 1} if content == "layers 1" else json.loads(content)
    (copy / "config.json").write_text(json.dumps(found | wanted if isinstance(wanted, dict) else wanted))
    with pytest.raises(UserError, match="not a ") as caught:
        load(copy)
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("load", "owner"),
    [(encoder_of, reranker_of), (load_generator, encoder_of), (reranker_of, load_generator), (reranker_of, body_of)],
    ids=["re-ranker as encoder", "bert as electra", "generator as re-ranker", "bert as re-ranker"],
)
def test_another_model_s_checkpoint_is_not_filled_with_random_weights(
    folders: dict[Load, Path], load: Load, owner: Load
) -> None:
    with pytest.raises(UserError, match="weights are missing"):
        load(folders[owner])


def test_an_encoder_without_its_head_cannot_be_pre_trained(tmp_path: Path) -> None:
    BertModel(bert().config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="cls.predictions"):
        load_masked_lm(tmp_path, TOKENIZER)
    assert body_of(tmp_path).config.hidden_size == 32


def test_a_tokenizer_with_more_pieces_than_the_model(folders: dict[Load, Path]) -> None:
    larger = BertTokenizerFast(vocab={piece: i for i, piece in enumerate([*VOCABULARY, "more"])})
    for load in (load_masked_lm, load_body):
        with pytest.raises(UserError, match=f"has {len(VOCABULARY) + 1} pieces, but its model has {len(VOCABULARY)}"):
            load(folders[encoder_of], larger)
    with pytest.raises(UserError, match="use the tokenizer that the model was trained with"):
        load_reranker(folders[reranker_of], larger)


def test_another_tokenizer_of_the_same_size(folders: dict[Load, Path]) -> None:
    """Its own tokenizer lies beside the model, and tells what the number of pieces cannot."""
    turned = BertTokenizerFast(vocab={piece: i for i, piece in enumerate([*VOCABULARY[:5], *VOCABULARY[:4:-1]])})
    cased = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(VOCABULARY)}, do_lower_case=False)
    fewer = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(VOCABULARY[:-1])})
    for other in (turned, cased, fewer):
        for load in (load_masked_lm, load_body):
            with pytest.raises(UserError, match="holds another tokenizer than .*: use the tokenizer that the model"):
                load(folders[encoder_of], other)
        with pytest.raises(UserError, match="holds another tokenizer than"):
            load_reranker(folders[reranker_of], other)


def test_a_model_without_a_tokenizer_of_its_own(tmp_path: Path) -> None:
    """Its vocabulary may be padded to a multiple of 128, and no further."""
    size = len(VOCABULARY)
    bert(vocabulary=size + 127).save_pretrained(tmp_path / "padded")
    assert body_of(tmp_path / "padded").config.vocab_size == size + 127
    bert(vocabulary=size + 128).save_pretrained(tmp_path / "larger")
    with pytest.raises(UserError, match=f"has {size + 128} pieces, and its tokenizer .* only {size}: use the"):
        body_of(tmp_path / "larger")


def test_a_reranker_starts_from_bert_or_electra(folders: dict[Load, Path]) -> None:
    for owner in (encoder_of, load_generator):
        model = load_reranker_start(folders[owner], TOKENIZER, 0.25)
        assert model.config.num_labels == 1
        assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}


def test_copying_a_local_model(folders: dict[Load, Path], tmp_path: Path) -> None:
    source = folders[encoder_of]
    assert copy_model(str(source), "", tmp_path / "copy") == {"source": "bert", "revision": ""}
    ours, theirs = load_masked_lm(source, TOKENIZER), load_masked_lm(tmp_path / "copy", TOKENIZER)
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_copying_what_is_no_model(folders: dict[Load, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="its config.json is missing"):
        copy_model(str(tmp_path / "empty"), "", tmp_path / "target")
    copy = Path(shutil.copytree(folders[encoder_of], tmp_path / "copy"))
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UserError, match="not plain weights, or damaged .*: convert it to safetensors"):
        copy_model(str(copy), "", tmp_path / "target")
    with pytest.raises(UserError, match="neither a folder nor to be had from the Hub"):
        copy_model(str(tmp_path / "missing"), "", tmp_path / "target")
    assert not (tmp_path / "target").exists()
