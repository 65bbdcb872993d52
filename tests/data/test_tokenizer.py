"""The trained tokenizer is BERT's in all but its words, always the same, and loads without a network."""

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertConfig, BertTokenizerFast, PreTrainedTokenizerFast

from simlm.data import tokenizer_training as module
from simlm.data.inputs import Specials
from simlm.data.tokenizer import check_tokenizer_matches, load_tokenizer, tokenizer_digest
from simlm.data.tokenizer_training import train_byte_level_bpe, train_wordpiece
from simlm.errors import UserError

TEXTS = [
    "Insurance covers the car; the car's insurance, naïvely, is insuring cars.",
    "Life insurance is insurance of a life. What is covered? Coverage 2017!",
] * 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return train_wordpiece(iter(TEXTS), 90, tmp_path_factory.mktemp("tokenizer") / "own")


def test_special_tokens_and_template(trained: PreTrainedTokenizerFast) -> None:
    assert Specials.of(trained) == Specials(cls=2, sep=3, pad=0, unk=1, mask=4)
    assert trained.model_max_length == 512 and len(trained) == 90
    pair = trained("the CAR", "lífe")
    assert trained.convert_ids_to_tokens(pair["input_ids"])[0] == "[CLS]"
    assert pair["token_type_ids"][-1] == 1 and pair["token_type_ids"][0] == 0
    assert trained.decode(pair["input_ids"], skip_special_tokens=True) == "the car life"


def test_pieces_are_learnt_and_cover_the_corpus(trained: PreTrainedTokenizerFast) -> None:
    assert trained.tokenize("insurance") == ["insurance"]
    assert "[UNK]" not in trained.tokenize(" ".join(TEXTS))
    assert set(trained.all_special_tokens) == set(module.SPECIAL_TOKENS)
    # A character is an ordinary piece: it keeps its ## when it continues a word.
    assert trained.tokenize("7c") == ["7", "##c"]


def test_loads_offline_as_a_fast_bert_tokenizer(trained: PreTrainedTokenizerFast) -> None:
    loaded = AutoTokenizer.from_pretrained(trained.name_or_path, local_files_only=True)
    assert isinstance(loaded, BertTokenizerFast)
    assert loaded.get_vocab() == trained.get_vocab()
    assert tokenizer_digest(loaded) == tokenizer_digest(load_tokenizer(Path(trained.name_or_path)))


def test_files_do_not_tell_how_it_was_loaded(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """With and without a network, from a folder or from the Hub's cache, the same tokenizer leaves the same bytes."""
    first, again = tmp_path / "first", tmp_path / "again"
    load_tokenizer(Path(trained.name_or_path)).save_pretrained(first)
    load_tokenizer(first).save_pretrained(again)
    assert "local" not in (again / "tokenizer_config.json").read_text()
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_the_same_in_another_process(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from simlm.data.tokenizer import *; from simlm.data.tokenizer_training import *;"
        f"print([tokenizer_digest(train(iter({TEXTS!r}), 310, Path({str(tmp_path)!r}) / train.__name__))"
        " for train in (train_wordpiece, train_byte_level_bpe)])"
    )
    root = Path(module.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    made = [
        train(iter(TEXTS), 310, tmp_path / f"own-{train.__name__}") for train in (train_wordpiece, train_byte_level_bpe)
    ]
    assert done.stdout.strip() == str([tokenizer_digest(one) for one in made])


def test_digest_sees_words_not_truncation(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    before = tokenizer_digest(trained)
    trained("car", truncation=True, max_length=3, padding="max_length")
    assert tokenizer_digest(trained) == before
    assert tokenizer_digest(train_wordpiece(TEXTS, 89, tmp_path)) != before


def test_no_tokenizer_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer at"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        load_tokenizer(tmp_path / "nowhere")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="no tokenizer at") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def test_model_folder_without_vocabulary(tmp_path: Path) -> None:
    BertConfig(vocab_size=90).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="holds no vocabulary"):
        load_tokenizer(tmp_path)


def test_tokenizer_has_to_match_its_model(trained: PreTrainedTokenizerFast) -> None:
    check_tokenizer_matches(trained, BertConfig(vocab_size=90))
    check_tokenizer_matches(trained, BertConfig(vocab_size=96))  # padded to a multiple of 8
    with pytest.raises(UserError, match="has 90 pieces, but its model has 89"):
        check_tokenizer_matches(trained, BertConfig(vocab_size=89))
