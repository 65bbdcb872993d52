"""The published systems beside which the paper's Tables 2 to 4 set SimLM, with what is public of each.

To add a system, add its record to ``SYSTEMS``. How a system reads its input is what its model card or its authors' code
says; each note names where that was read. ``printed`` is from the README of the released code (microsoft/unilm, simlm).
"""

from dataclasses import replace

from baselines.system import System
from simlm.costs.model import BERT_BASE, PUBLIC, ROBERTA_BASE
from simlm.models.public import MAIN, Pin

PADDLE = "Its authors published weights for PaddlePaddle only (PaddlePaddle/RocketQA); none that torch loads is known."
OF_SIMLM = "The input is that of its model card and of its authors' code (microsoft/unilm, simlm/src/inference)."


def _both(name: str) -> dict[str, str]:
    return {"table2": name, "table4": name}


SYSTEMS = (
    System(
        key="bm25",
        label="BM25",
        kind="sparse",
        source="Robertson and Zaragoza, 2009; Pyserini",
        checkpoint="msmarco-v1-passage",
        named={"table2": "BM25"},
        note="Pyserini's prebuilt index, k1 0.9 and b 0.4, with which Anserini's own page of the collection "
        "(docs/regressions/regressions-msmarco-v1-passage.md) has MRR@10 18.4 and R@1k 85.3, and 18.7 and 85.7 with k1 "
        "0.82 and b 0.68; which parameters are behind the paper's figures is not said.",
    ),
    System(
        key="deepct",
        label="DeepCT",
        kind="sparse",
        source="Dai and Callan, 2019",
        named={"table2": "DeepCT"},
        lacking="Pyserini 1.6 has no prebuilt index of DeepCT's weights, and no other is known. The model that gives "
        "them is public for torch (macavaney/deepct), and the index would have to be built with it.",
    ),
    System(
        key="doct5query",
        label="docT5query",
        kind="sparse",
        source="Nogueira and Lin, 2019; Pyserini",
        checkpoint="msmarco-v1-passage.d2q-t5",
        k1=0.82,
        b=0.68,
        named={"table2": "docT5query"},
        note="Pyserini's prebuilt index with k1 0.82 and b 0.68, those of its authors' figures (Anserini's "
        "docs/regressions/regressions-msmarco-v1-passage.docTTTTTquery.md: MRR@10 27.7, R@1k 94.7), which the paper "
        "quotes; 0.9 and 0.4 give MRR@10 27.2 there.",
    ),
    System(
        key="ance",
        label="ANCE",
        kind="dense",
        source="Xiong et al., ICLR 2021",
        checkpoint="castorini/ance-msmarco-passage",
        pin=Pin(
            "6d7e7d6b6c59dd691671f280bc74edb4297f8234",
            "paths models--castorini--ance-msmarco-passage/snapshots/<commit> of the Hub's cache, in public "
            "repositories; its page tree/main has its first digits",
        ),
        model=ROBERTA_BASE,
        head=("embeddingHead", "norm"),
        query_length=64,
        passage_length=512,
        title="none",
        lower_case=True,
        named={"table2": "ANCE"},
        note="Pyserini's copy of the authors' checkpoint, read as their code does (microsoft/ANCE, "
        "data/msmarco_data.py and utils/util.py, with the transformers 2.3.0 that its README asks for): texts in lower "
        "case, which RoBERTa's tokenizer would keep, passages cut at 512 tokens and queries at 64. So does the port of "
        "sentence-transformers (msmarco-roberta-base-ance-firstp).",
    ),
    System(
        key="seed",
        label="SEED",
        kind="dense",
        source="Lu et al., EMNLP 2021",
        named={"table2": "SEED"},
        lacking="Its authors' retriever (microsoft/SEED-Encoder) is an archive outside the Hub, which is not read.",
    ),
    System(
        key="tas-b",
        label="TAS-B",
        kind="dense",
        source="Hofstätter et al., SIGIR 2021",
        model=replace(BERT_BASE, layers=6),
        checkpoint="sentence-transformers/msmarco-distilbert-base-tas-b",
        pin=Pin(
            "b12d9352e776979147078a8975a4885042984fd1",
            "in two public repositories: a path models--sentence-transformers--msmarco-distilbert-base-tas-b/snapshots/"
            "<commit> of the Hub's cache, and a table of models with the commits that their files were read at",
        ),
        query_length=512,
        passage_length=512,
        title="none",
        named={"table2": "TAS-B"},
        note="The input is that of its model card, a port of the authors' checkpoint. It cuts at 512 tokens; the "
        "authors cut queries at 30 and passages at 200.",
    ),
    System(
        key="retromae",
        label="RetroMAE",
        kind="dense",
        source="Xiao et al., EMNLP 2022",
        checkpoint="Shitao/RetroMAE_MSMARCO_finetune",
        passage_length=140,
        title="separated",
        named={"table2": "RetroMAE"},
        note="The input is that of its authors' own example and code (staoxiao/RetroMAE, examples/retriever/msmarco "
        "and src/bi_encoder). The paper quotes an earlier version; of this checkpoint its authors' README says MRR@10 "
        "39.3 and R@1k 98.5.",
    ),
    System(
        key="condenser",
        label="Condenser",
        kind="dense",
        source="Gao and Callan, EMNLP 2021",
        named=_both("Condenser"),
        lacking="Only the pre-trained Luyu/condenser is public, no retriever that was fine-tuned from it.",
    ),
    System(
        key="cocondenser",
        label="coCondenser",
        kind="dense",
        source="Gao and Callan, ACL 2022",
        checkpoint="Luyu/co-condenser-marco-retriever",
        pin=Pin(MAIN, "its pages show a main of 2149ab9, and no more digits"),
        passage_length=128,
        title="separated",
        named={"table2": "coCondenser"},
        note="The input is that of its author's own example and code (texttron/tevatron, examples/coCondenser-marco "
        "and src/tevatron/preprocessor), which leaves the length of passages to the tool's default, 128 tokens.",
    ),
    System("rocketqa", "RocketQA", "dense", "Qu et al., NAACL 2021", named=_both("RocketQA"), lacking=PADDLE),
    System("pair", "PAIR", "dense", "Ren et al., Findings of ACL 2021", named=_both("PAIR"), lacking=PADDLE),
    System("rocketqav2", "RocketQAv2", "dense", "Ren et al., EMNLP 2021", named=_both("RocketQAv2"), lacking=PADDLE),
    System(
        key="ar2",
        label="AR2",
        kind="dense",
        source="Zhang et al., ICLR 2022",
        named={"table2": "AR2"},
        lacking="No repository of the Hub with its retriever is known; its authors' code is microsoft/AR2.",
    ),
    System(
        key="coil",
        label="COIL",
        kind="multivector",
        source="Gao et al., NAACL 2021",
        named={"table2": "COIL"},
        lacking="Its author's checkpoints (luyug/COIL) are archives outside the Hub, and its inverted lists of token "
        "vectors are searched by code of its own.",
    ),
    System(
        key="colbert",
        label="ColBERT",
        kind="multivector",
        source="Khattab and Zaharia, SIGIR 2020",
        named={"table2": "ColBERT"},
        lacking="Of the first version the Hub is known to have a state of training only (orionweller/ColBERTv1, "
        "colbert-v1.dnn), without a configuration or a tokenizer to read it by.",
    ),
    System(
        key="colbertv2",
        label="ColBERTv2",
        kind="multivector",
        source="Santhanam et al., NAACL 2022",
        checkpoint="colbert-ir/colbertv2.0",
        pin=Pin(
            "c1e84128e85ef755c096a95bdb06b47793b13acf",
            "embeddings-benchmark/mteb, mteb/models/colbert_models.py; the model card of lightonai/colbertv2.0, which "
            "was made from it; the Hub's own answer about the model, as its sha",
        ),
        title="none",
        passage_length=180,
        named={"table2": "ColBERTv2", "table3": "ColBERTv2"},
        note="Its markers, the expansion of queries and the skipped punctuation are those of its artifact.metadata, as "
        "sentence-transformers reads it.",
    ),
    System(
        key="bm25-nq",
        label="BM25 on NQ",
        kind="sparse",
        source="Robertson and Zaragoza, 2009; Pyserini",
        named={"table4": "BM25"},
        lacking="Pyserini's prebuilt index of these passages (wikipedia-dpr-100w) is not searched here; without "
        "--released, Table 4 has a BM25 run of its own.",
    ),
    System(
        key="dpr",
        label="DPR (single)",
        kind="dense",
        source="Karpukhin et al., EMNLP 2020",
        checkpoint="facebook/dpr-ctx_encoder-single-nq-base",
        pin=Pin(
            "bb21a3c2b1656d60c6a8e920283bc40dabddadb8",
            "its page commit/<commit>; pinned together with the question encoder's in public repositories",
        ),
        query_checkpoint="facebook/dpr-question_encoder-single-nq-base",
        query_pin=Pin(
            "d04a52f6d2f96c60117a925e8c24c4043a75f265",
            "its page commit/<commit>; pinned together with the passage encoder's in public repositories",
        ),
        query_length=256,
        passage_length=256,
        named={"table4": "DPR (single)"},
        note="The input is that of its authors' code (facebookresearch/DPR, dpr/models and conf/encoder/hf_bert.yaml): "
        "title and text as a pair of which every token has type 0, and questions and passages cut at 256 tokens.",
    ),
    System(
        key="ance-nq",
        label="ANCE on NQ",
        kind="dense",
        source="Xiong et al., ICLR 2021",
        named={"table4": "ANCE"},
        lacking="No repository with its encoders for NQ is known; those that Pyserini copied "
        "(castorini/ance-dpr-context-multi and -question-multi) are of several data sets.",
    ),
    System(
        key="cocondenser-nq",
        label="coCondenser on NQ",
        kind="dense",
        source="Gao and Callan, ACL 2022",
        named={"table4": "coCondenser"},
        lacking="Only the pre-trained Luyu/co-condenser-wiki is public, no retriever fine-tuned from it on NQ.",
    ),
    System(
        key="simlm-nq",
        label="SimLM on NQ",
        kind="dense",
        source="Wang et al., ACL 2023",
        named={"table4": "SimLM"},
        lacking="No SimLM fine-tuned on NQ was released, only the pre-trained intfloat/simlm-base-wiki100w: that row "
        "needs training.",
    ),
    System(
        key="simlm",
        label="SimLM",
        kind="dense",
        source="Wang et al., ACL 2023",
        checkpoint="intfloat/simlm-base-msmarco-finetuned",
        pin=Pin(
            "d0842830f225651d7bf79faad1dc49574f2c6f77",
            "its pages commit/<commit> and tree/<commit>; main is one commit newer, which changed README.md only "
            "(tree/main)",
        ),
        similarity="cos",
        token_types=True,
        named={"table2": "SimLM", "table3": "SimLM"},
        printed={"mrr10": 41.1, "r50": 87.8, "r1k": 98.7, "dl19_ndcg10": 71.4, "dl20_ndcg10": 69.7},
        note=OF_SIMLM,
    ),
    System(
        key="simlm-1",
        label="SimLM, fine-tuned here",
        kind="start",
        source="Wang et al., ACL 2023",
        checkpoint="intfloat/simlm-base-msmarco",
        pin=Pin(MAIN, "its pages show a main of 453189b, and no more digits"),
        similarity="cos",
        token_types=True,
        printed={"mrr10": 38.0, "r50": 85.8, "r1k": 98.3},
        note="Retriever1 from the released pre-trained encoder, on the BM25 negatives that come with the collection. "
        "The figures beside it are those that its authors' README gives for that.",
    ),
    System(
        key="simlm-reranker",
        label="SimLM, re-ranker",
        kind="reranker",
        source="Wang et al., ACL 2023",
        checkpoint="intfloat/simlm-msmarco-reranker",
        pin=Pin(
            "35b47869983130d6d28dc8fd0fa6c26bd4447fe2",
            "its page tree/<commit>; commits/main has its first digits on top",
        ),
        passage_length=192,
        printed={"mrr10": 43.8, "r50": 89.2, "r1k": 98.6, "dl19_ndcg10": 74.6, "dl20_ndcg10": 72.7},
        note=f'It re-ranks the top 200 of SimLM, reading query and "title: text" as a pair of 192 tokens at most. '
        f"{OF_SIMLM} The figures beside it are those that its authors' README gives for this checkpoint, which there "
        "re-ranks the run of msmarco_reranker.zip, Retriever2's.",
    ),
)


PUBLIC.update({one.checkpoint: one.model for one in SYSTEMS if one.model is not None})


def systems_in(table: str) -> list[System]:
    """Return the systems that a table of the paper names, sparse ones first as there."""
    return [one for one in SYSTEMS if table in one.named]


def system(key: str) -> System:
    """Return the system of a key; KeyError where there is none."""
    return {one.key: one for one in SYSTEMS}[key]
