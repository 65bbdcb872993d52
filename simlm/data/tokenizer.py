"""Tokenizers: load one from a folder or the Hub, compare two, and cut many texts into pieces, fast.

transformers is imported when a tokenizer is loaded: what only reads a tokenised store does without it.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from simlm.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

PADDED_TO = 128
VOCABULARIES = ("tokenizer.json", "vocab.txt")
"""The files of which one is there where a model's folder holds its tokenizer."""
HOW_IT_WAS_LOADED = ("is_local", "local_files_only")
"""What transformers notes in a tokenizer of its loading, and would save with it: equal tokenizers have equal files."""
CACHED_WORDS = 2**18
"""Distinct words kept with their pieces; at about 200 bytes a word the cache stays below 60 MB."""
_USE_ITS_OWN = "use the tokenizer that the model was trained with"


class Specials(NamedTuple):
    """The vocabulary indices of a BERT-like tokenizer's special tokens."""

    cls: int
    sep: int
    pad: int
    unk: int
    mask: int

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerFast") -> "Specials":
        """Return the special tokens of a tokenizer; UserError when it lacks one of the five."""
        vocabulary = tokenizer.get_vocab()
        found: list[int] = []
        for name in ("cls_token", "sep_token", "pad_token", "unk_token", "mask_token"):
            token = getattr(tokenizer, name)
            if token not in vocabulary:
                raise UserError(
                    f"tokenizer {tokenizer.name_or_path!r} has no {name}: "
                    "use a BERT-like tokenizer with [CLS], [SEP], [PAD], [UNK] and [MASK]"
                )
            found.append(vocabulary[token])
        return cls(*found)


def load_tokenizer(name_or_folder: str | Path, revision: str = "main") -> "PreTrainedTokenizerFast":
    """Load the fast tokenizer in a local folder, or of a Hub repository at a commit or branch.

    Code that comes with it is never run. UserError when there is none, when it has no fast version or when it lacks a
    special token of BERT's.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    name = str(name_or_folder)
    if isinstance(name_or_folder, Path) and not name_or_folder.is_dir():
        raise UserError(f"{name} is no folder: give a folder with a tokenizer, or the name of a Hub repository")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
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
    """Refuse a model that is not for this tokenizer's pieces, by a UserError.

    Where the folder ``model`` holds a tokenizer, it has to make the same pieces with the same numbers. Otherwise only
    the sizes of the vocabularies can tell: the model's may be larger by what padding to a multiple of 128 adds.
    """
    if len(tokenizer) > config.vocab_size:
        raise UserError(
            f"the tokenizer {tokenizer.name_or_path!r} has {len(tokenizer)} pieces, but its model has "
            f"{config.vocab_size}: {_USE_ITS_OWN}"
        )
    if any((Path(model) / name).is_file() for name in VOCABULARIES if model):
        if _rules(load_tokenizer(Path(model))) != _rules(tokenizer):
            raise UserError(f"{model} holds another tokenizer than {tokenizer.name_or_path!r}: {_USE_ITS_OWN}")
    elif config.vocab_size - len(tokenizer) >= PADDED_TO:
        raise UserError(
            f"the model {str(model)!r} has {config.vocab_size} pieces, and its tokenizer {tokenizer.name_or_path!r} "
            f"only {len(tokenizer)}: {_USE_ITS_OWN}"
        )


def _rules(tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
    """Return what decides a text's pieces and their numbers, and not what is put around them."""
    parts = json.loads(bare_tokenizer(tokenizer).to_str())
    return {name: parts[name] for name in ("normalizer", "pre_tokenizer", "model")}


def tokenizer_digest(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return a sha256 of all that decides a tokenizer's pieces, not of where it lies or how it truncates."""
    return hashlib.sha256(bare_tokenizer(tokenizer).to_str().encode("utf-8")).hexdigest()


def bare_tokenizer(tokenizer: "PreTrainedTokenizerFast") -> Tokenizer:
    """Return a copy of a tokenizer's Rust half that neither cuts nor pads; the caller's own stays as it is."""
    bare = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    bare.no_truncation()
    bare.no_padding()
    return bare


class PieceMaker:
    """Cut lists of texts into pieces, without special tokens, each text cut off at ``max_pieces`` pieces.

    A BERT-like tokenizer treats the stretches between spaces independently, and a corpus repeats its words,
    so there each distinct stretch is tokenised once and looked up afterwards: the same pieces for about a
    quarter of the processor time. Other tokenizers (byte-level BPE, SentencePiece) get whole texts.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", max_pieces: int) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self.max_pieces = max_pieces
        self._bare = bare_tokenizer(tokenizer)
        self._word_by_word = (
            isinstance(self._bare.model, WordPiece)
            and isinstance(self._bare.normalizer, BertNormalizer)
            and isinstance(self._bare.pre_tokenizer, BertPreTokenizer)
            and not any(" " in token.content for token in self._bare.get_added_tokens_decoder().values())
        )
        self._cache: dict[str, list[int]] = {}

    def __call__(self, texts: list[str]) -> list[list[int]]:
        """Return the pieces of each text."""
        if not self._word_by_word:
            return [ids[: self.max_pieces] for ids in self._encode(texts)]
        # Only the space: other white space is the tokenizer's own business.
        split = [text.split(" ") for text in texts]
        if len(self._cache) > CACHED_WORDS:
            self._cache.clear()
        new = list({word: None for words in split for word in words if word not in self._cache})
        self._cache.update(zip(new, self._encode(new), strict=True))
        return [self._looked_up(words) for words in split]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [one.ids for one in self._bare.encode_batch_fast(texts, add_special_tokens=False)]

    def _looked_up(self, words: list[str]) -> list[int]:
        pieces: list[int] = []
        for word in words:
            pieces += self._cache[word]
            if len(pieces) >= self.max_pieces:
                break
        return pieces[: self.max_pieces]
