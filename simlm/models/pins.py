"""The commits at which models of the Hub are fetched, and where each was seen: a branch moves, a commit does not.

The Hub itself was not asked. A commit stands here only where something public names repository and commit together;
"its page" is the Hub's own page of the repository at that commit. Whatever else is fetched is fetched at `MAIN`, and
manifest and report name the commit that was: intfloat/simlm-base-msmarco (its pages show a main of 453189b, and no
more digits), Luyu/co-condenser-marco-retriever (2149ab9) and Shitao/RetroMAE_MSMARCO_finetune (none).
"""

from collections.abc import Mapping
from dataclasses import dataclass

MAIN = "main"


@dataclass(frozen=True)
class Pin:
    """A commit of 40 hexadecimal digits, and where it was seen beside its repository's name."""

    commit: str
    seen: str


PINS: Mapping[str, Pin] = {
    "bert-base-uncased": Pin(
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        "paths models--bert-base-uncased/snapshots/<commit> of the Hub's cache, in public code of many; the Hub's page "
        "google-bert/bert-base-uncased/blob/refs/pr/71/tokenizer_config.json has its first digits",
    ),
    "roberta-base": Pin(
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "its page FacebookAI/roberta-base/blob/<commit>/vocab.json; paths models--roberta-base/snapshots/<commit> of "
        "the Hub's cache, in public code",
    ),
    "google/electra-base-generator": Pin(
        "1c65e3f5f4597679b87620707df5774c08c6606d",
        "its page commits/<commit>; main is one commit newer, which changed tokenizer_config.json only (tree/main)",
    ),
    "google/electra-base-discriminator": Pin(
        "1ae76a97c7e84a4e640876a07453fccd636f0667",
        "its page tree/<commit>; tables of pinned models in public code",
    ),
    "intfloat/simlm-base-msmarco-finetuned": Pin(
        "d0842830f225651d7bf79faad1dc49574f2c6f77",
        "its pages commit/<commit> and tree/<commit>; main is one commit newer, which changed README.md only "
        "(tree/main)",
    ),
    "intfloat/simlm-msmarco-reranker": Pin(
        "35b47869983130d6d28dc8fd0fa6c26bd4447fe2",
        "its page tree/<commit>; commits/main has its first digits on top",
    ),
    "castorini/ance-msmarco-passage": Pin(
        "6d7e7d6b6c59dd691671f280bc74edb4297f8234",
        "paths models--castorini--ance-msmarco-passage/snapshots/<commit> of the Hub's cache, in public code; its page "
        "tree/main has its first digits",
    ),
    "sentence-transformers/msmarco-distilbert-base-tas-b": Pin(
        "b12d9352e776979147078a8975a4885042984fd1",
        "in public code of two: a path models--sentence-transformers--msmarco-distilbert-base-tas-b/snapshots/<commit> "
        "of the Hub's cache, and a table of models with the commits that their files were read at",
    ),
    "colbert-ir/colbertv2.0": Pin(
        "c1e84128e85ef755c096a95bdb06b47793b13acf",
        "embeddings-benchmark/mteb, mteb/models/colbert_models.py; the model card of lightonai/colbertv2.0, which was "
        "made from it; the Hub's own answer about the model, as its sha",
    ),
    "facebook/dpr-ctx_encoder-single-nq-base": Pin(
        "bb21a3c2b1656d60c6a8e920283bc40dabddadb8",
        "its page commit/<commit>; pinned together with the question encoder's in public code",
    ),
    "facebook/dpr-question_encoder-single-nq-base": Pin(
        "d04a52f6d2f96c60117a925e8c24c4043a75f265",
        "its page commit/<commit>; pinned together with the passage encoder's in public code",
    ),
}


def revision_of(repository: str) -> str:
    """What a repository is fetched at: the commit that is pinned, or `MAIN`, also for what is no repository."""
    return PINS[repository].commit if repository in PINS else MAIN
