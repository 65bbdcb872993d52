"""Train a tokenizer on a corpus: WordPiece like BERT's, or byte-level BPE like RoBERTa's."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer, WordPieceTrainer
from transformers import BertTokenizer, PreTrainedTokenizerFast

from simlm.data.tokenizer import load_tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_LENGTH = 512


def train_wordpiece(texts: Iterable[str], vocab_size: int, folder: Path) -> PreTrainedTokenizerFast:
    """Train a tokenizer like BERT-base uncased's on ``texts`` and save it to ``folder``.

    Lower case, accents stripped, split at punctuation, continuing pieces marked ##; the special tokens are
    [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4. Reads `texts` once, keeping only word counts. The same word
    counts in the same order of first appearance give the same vocabulary. It is larger than `vocab_size` only
    where the corpus has more characters, and smaller where the corpus has no more pieces to give.
    `AutoTokenizer.from_pretrained(folder)` loads it without a network.
    """
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
    """Count each normalised word; each different string between spaces is normalised only once."""
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
    """Yield lines that hold every word as often as it occurs: the trainer takes texts, not counts."""
    for word, count in words.items():
        for start in range(0, count, 1000):
            yield " ".join([word] * min(1000, count - start))


def train_byte_level_bpe(texts: Iterable[str], vocab_size: int, folder: Path) -> PreTrainedTokenizerFast:
    """Train a tokenizer like RoBERTa-base's on ``texts`` and save it to ``folder``.

    Byte-level BPE: case and white space are kept, every text can be written in its pieces, and decoding gives it back.
    The special tokens are those of `train_wordpiece`, under BERT's names and with its numbers, so that all else reads
    both kinds alike; [UNK] is never needed. All token types are 0, in pairs too. Reads `texts` once, keeping only word
    counts; the same counts give the same vocabulary, smaller than `vocab_size` where there is nothing more to merge.
    """
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
