"""Tokenizers: training one on a corpus, WordPiece or byte-level BPE, and loading one from a folder or the Hub."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simlm.errors import UserError
from simlm.models.pins import revision_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_LENGTH = 512
PADDED_TO = 128
HOW_IT_WAS_LOADED = ("is_local", "local_files_only")
"""What transformers notes in a tokenizer of its loading, and would save with it: equal tokenizers have equal files."""
_USE_ITS_OWN = "use the tokenizer that the model was trained with"


def train_wordpiece(texts: Iterable[str], vocab_size: int, folder: Path) -> "PreTrainedTokenizerFast":
    """Trains a tokenizer like BERT-base uncased's on `texts` and saves it to `folder`.

    Lower case, accents stripped, split at punctuation, continuing pieces marked ##; the special tokens are
    [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4. Reads `texts` once, keeping only word counts. The same word
    counts in the same order of first appearance give the same vocabulary. It is larger than `vocab_size` only
    where the corpus has more characters, and smaller where the corpus has no more pieces to give.
    `AutoTokenizer.from_pretrained(folder)` loads it without a network.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.trainers import WordPieceTrainer
    from transformers import BertTokenizer

    words = _word_counts(texts)
    # The trainer numbers the characters in the order of a hash map that differs from process to process, and
    # those numbers settle ties between merges. Characters that are given as special tokens keep our order.
    first = sorted({letter for word in words for letter in word})
    later = sorted({f"##{letter}" for word in words for letter in word[1:]})
    trainer = WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=[*SPECIAL_TOKENS, *first, *later], show_progress=False
    )
    trained = Tokenizer(WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = WhitespaceSplit()
    trained.train_from_iterator(_repeated(words), trainer)
    # Only the vocabulary is taken over: there the characters are ordinary pieces again.
    tokenizer = BertTokenizer(vocab=trained.get_vocab(), do_lower_case=True, model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)


def _word_counts(texts: Iterable[str]) -> Counter[str]:
    """How often each normalised word occurs; normalises each distinct stretch between white space once."""
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    stretches: Counter[str] = Counter()
    for text in texts:
        stretches.update(text.split())
    normalizer, pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    words: Counter[str] = Counter()
    for stretch, count in stretches.items():
        for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(stretch)):
            words[word] += count
    return words


def _repeated(words: Counter[str]) -> Iterator[str]:
    """Lines that hold every word as often as it occurs: the trainer takes texts, not counts."""
    for word, count in words.items():
        for start in range(0, count, 1000):
            yield " ".join([word] * min(1000, count - start))


def train_byte_level_bpe(texts: Iterable[str], vocab_size: int, folder: Path) -> "PreTrainedTokenizerFast":
    """Trains a tokenizer like RoBERTa-base's on `texts` and saves it to `folder`.

    Byte-level BPE: case and white space are kept, every text can be written in its pieces, and decoding gives it back.
    The special tokens are those of `train_wordpiece`, under BERT's names and with its numbers, so that all else reads
    both kinds alike; [UNK] is never needed. All token types are 0, in pairs too. Reads `texts` once, keeping only word
    counts; the same counts give the same vocabulary, smaller than `vocab_size` where there is nothing more to merge.
    """
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.processors import TemplateProcessing
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(BPE())
    trained.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trained.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    trained.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)


def load_tokenizer(name_or_folder: str | Path) -> "PreTrainedTokenizerFast":
    """The fast tokenizer in a local folder, or of a Hub repository as it is pinned; never runs code that comes with it.

    UserError when there is none, when it has no fast version or when it lacks a special token of BERT's.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from simlm.data.inputs import Specials

    name = str(name_or_folder)
    if isinstance(name_or_folder, Path) and not name_or_folder.is_dir():
        raise UserError(f"{name} is no folder: give a folder with a tokenizer, or the name of a Hub repository")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision_of(name), trust_remote_code=False)
    except Exception as error:
        # Hub, file and format problems surface as a dozen unrelated types; to a user all mean the same.
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"no tokenizer at {name!r} ({reason}): give a folder with tokenizer.json, or a Hub name"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(f"the tokenizer at {name!r} has no fast version: save one with a tokenizer.json")
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # What transformers makes of a folder with a model's config.json and no vocabulary.
        raise UserError(f"{name!r} holds no vocabulary: save the model's tokenizer there, tokenizer.json too")
    Specials.of(tokenizer)
    for name in HOW_IT_WAS_LOADED:
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer


def check_tokenizer_matches(
    tokenizer: "PreTrainedTokenizerFast", config: "PretrainedConfig", model: str | Path = ""
) -> None:
    """UserError when a model is not one for this tokenizer's pieces.

    Where the folder ``model`` holds a tokenizer, it has to make the same pieces with the same numbers. Otherwise only
    the sizes of the vocabularies can tell: the model's may be larger by what padding to a multiple of 128 adds.
    """
    if len(tokenizer) > config.vocab_size:
        raise UserError(
            f"the tokenizer {tokenizer.name_or_path!r} has {len(tokenizer)} pieces, but its model has "
            f"{config.vocab_size}: {_USE_ITS_OWN}"
        )
    if any((Path(model) / name).is_file() for name in ("tokenizer.json", "vocab.txt") if model):
        if _rules(load_tokenizer(Path(model))) != _rules(tokenizer):
            raise UserError(f"{model} holds another tokenizer than {tokenizer.name_or_path!r}: {_USE_ITS_OWN}")
    elif config.vocab_size - len(tokenizer) >= PADDED_TO:
        raise UserError(
            f"the model {str(model)!r} has {config.vocab_size} pieces, and its tokenizer {tokenizer.name_or_path!r} "
            f"only {len(tokenizer)}: {_USE_ITS_OWN}"
        )


def _rules(tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
    """What decides a text's pieces and their numbers, and not what is put around them."""
    from simlm.data.pieces import bare_tokenizer

    parts = json.loads(bare_tokenizer(tokenizer).to_str())
    return {name: parts[name] for name in ("normalizer", "pre_tokenizer", "model")}


def tokenizer_digest(tokenizer: "PreTrainedTokenizerFast") -> str:
    """sha256 of everything that decides a tokenizer's pieces, not of where it lies or how it truncates."""
    from simlm.data.pieces import bare_tokenizer

    return hashlib.sha256(bare_tokenizer(tokenizer).to_str().encode("utf-8")).hexdigest()
