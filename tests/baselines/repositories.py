"""Folders that look like the Hub's repositories of published systems, with tiny random models."""

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    DPRConfig,
    DPRContextEncoder,
    DPRQuestionEncoder,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

from baselines.lucene import java_home, lucene_jar
from simlm.models.public import PINS

WIDTH = 16
PIECES = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "text", "title", "query", "dev", ":"]
PIECES += [f"{mark}{digit}" for mark in ("", "##") for digit in range(10)]
SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SPREAD = {"initializer_range": 0.5}
"""So that vectors of different texts differ."""


def wordpiece(folder: Path) -> None:
    """A tokenizer as bert-base-uncased has it: vocab.txt, and what class reads it."""
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "model_max_length": 512, "tokenizer_class": "BertTokenizer"})
    )


def byte_level(folder: Path) -> int:
    """A tokenizer as roberta-base has it, vocab.json and merges.txt; how many pieces it has."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "te", "xt", "text", "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt e\nx t\nte xt\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 512, "tokenizer_class": "RobertaTokenizer"})
    )
    return len(words)


def save(model: PreTrainedModel, folder: Path, pickled: bool, extra: dict[str, torch.Tensor] | None = None) -> None:
    """Config and weights: safetensors as now, or the pickle that older repositories have."""
    model.save_pretrained(folder)
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict() | (extra or {}), folder / "pytorch_model.bin")


def bert(folder: Path, seed: int, pickled: bool = False) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    save(BertModel(BertConfig(vocab_size=len(PIECES), **SHAPE, **SPREAD)), folder, pickled)
    wordpiece(folder)


def distilbert(folder: Path) -> None:
    """With what sentence-transformers adds: modules.json and 1_Pooling."""
    folder.mkdir(parents=True)
    torch.manual_seed(2)
    config = DistilBertConfig(vocab_size=len(PIECES), dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=32, **SPREAD)
    save(DistilBertModel(config), folder, pickled=False)
    wordpiece(folder)
    kinds = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": int(n), "name": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
                for n, path, kind in kinds
            ]
        )
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{mode}": mode == "cls_token" for mode in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": WIDTH} | modes))


def ance(folder: Path) -> None:
    """RoBERTa below a linear map and a layer norm of names of their own, as a pickle."""
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    model = RobertaModel(roberta_config(byte_level(folder)))
    head = {"embeddingHead.weight": torch.randn(WIDTH, WIDTH), "embeddingHead.bias": torch.randn(WIDTH)}
    head |= {"norm.weight": torch.randn(WIDTH), "norm.bias": torch.randn(WIDTH)}
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    body = {f"roberta.{name}": value for name, value in model.state_dict().items()}
    torch.save(body | head, folder / "pytorch_model.bin")


def roberta_config(words: int) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=words, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, **SHAPE, **SPREAD
    )


def dpr(folder: Path, kind: type[DPRContextEncoder] | type[DPRQuestionEncoder], seed: int) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    save(kind(DPRConfig(vocab_size=len(PIECES), projection_dim=0, **SHAPE, **SPREAD)), folder, pickled=True)
    wordpiece(folder)
    name = kind.__name__ + "Tokenizer"
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "tokenizer_class": name}))


def electra(folder: Path) -> None:
    folder.mkdir(parents=True)
    torch.manual_seed(6)
    config = ElectraConfig(vocab_size=len(PIECES), embedding_size=WIDTH, num_labels=1, **SHAPE, **SPREAD)
    save(ElectraForSequenceClassification(config), folder, pickled=False)
    wordpiece(folder)


def colbert(folder: Path) -> None:
    """Stanford's ColBERT: BERT, a linear map beside it, and artifact.metadata."""
    bert(folder, 9)
    weights = {f"bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(10)
    save_file(weights | {"linear.weight": torch.randn(8, WIDTH)}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    metadata = {"query_maxlen": 32, "doc_maxlen": 180, "attend_to_mask_tokens": False, "mask_punctuation": True}
    (folder / "artifact.metadata").write_text(
        json.dumps(metadata | {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "dim": 8})
    )


def prebuilt(folder: Path, texts: Iterable[tuple[str, str]]) -> Path:
    """An index as Anserini builds it, of texts by id."""
    (folder.parent / "texts").mkdir(parents=True)
    rows = (json.dumps({"id": id, "contents": text}) for id, text in texts)
    (folder.parent / "texts" / "texts.jsonl").write_text("\n".join(rows))
    options = ["-collection", "JsonCollection", "-input", folder.parent / "texts", "-index", folder, "-threads", "1"]
    command = [java_home() / "bin" / "java", "-cp", lucene_jar(), "io.anserini.index.IndexCollection", *options]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return folder


REPOSITORIES: dict[str, Callable[[Path], None]] = {
    "castorini/ance-msmarco-passage": ance,
    "sentence-transformers/msmarco-distilbert-base-tas-b": distilbert,
    "Luyu/co-condenser-marco-retriever": lambda folder: bert(folder, 4, pickled=True),
    "colbert-ir/colbertv2.0": colbert,
    "facebook/dpr-ctx_encoder-single-nq-base": lambda folder: dpr(folder, DPRContextEncoder, 7),
    "facebook/dpr-question_encoder-single-nq-base": lambda folder: dpr(folder, DPRQuestionEncoder, 8),
    "intfloat/simlm-base-msmarco-finetuned": lambda folder: bert(folder, 5),
    "intfloat/simlm-msmarco-reranker": electra,
}
"""All but RetroMAE's, which stands for what a reader has not fetched."""


def repositories(folder: Path) -> Path:
    """All of them, as <org>--<name>."""
    for name, make in REPOSITORIES.items():
        make(folder / name.replace("/", "--"))
    return folder


def papers_models(cache: Path) -> Path:
    """A cache of the Hub's with what paper scale starts from, at the pinned commits; the generator's embeddings are
    wider than its layers, as ELECTRA's are."""
    electra = {"vocab_size": len(PIECES), **SHAPE}
    makers: dict[str, Callable[[Path], PreTrainedModel]] = {
        "bert-base-uncased": lambda _: BertForMaskedLM(BertConfig(vocab_size=len(PIECES), **SHAPE)),
        "google/electra-base-generator": lambda _: ElectraForMaskedLM(ElectraConfig(embedding_size=24, **electra)),
        "google/electra-base-discriminator": lambda _: ElectraForPreTraining(
            ElectraConfig(embedding_size=WIDTH, **electra)
        ),
        "roberta-base": lambda folder: RobertaForMaskedLM(roberta_config(byte_level(folder))),
    }
    for number, (name, pin) in enumerate(PINS.items()):
        folder = cache / f"models--{name.replace('/', '--')}" / "snapshots" / pin.commit
        folder.mkdir(parents=True)
        torch.manual_seed(number)
        save(makers[name](folder), folder, pickled=False)
        if name != "roberta-base":
            wordpiece(folder)
    return cache
