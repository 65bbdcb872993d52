"""The paper's claims about order, as data: the rows that are compared, and where their difference should lie."""

from dataclasses import dataclass

from reports.verdicts import ABOVE, NOT_BELOW, SAME, SLIGHTLY, Expectation


@dataclass(frozen=True)
class Claim:
    """``higher`` minus ``lower``, two rows of ``table`` by their keys, lies where ``expected`` puts it.

    ``sentence`` is the claim in words, ``source`` where the paper makes it.
    """

    sentence: str
    source: str
    table: str
    higher: str
    lower: str
    expected: Expectation = ABOVE

    @property
    def key(self) -> str:
        """The claim's name, one of a kind."""
        return f"{self.table}: {self.higher} {self.expected.words} {self.lower}"


def _main() -> list[Claim]:
    return [
        Claim("SimLM is better than BM25.", "Table 2", "table2", "simlm", "bm25"),
        Claim(
            "SimLM, one vector a passage, is better than ColBERTv2, one vector a token.",
            "Table 2",
            "table2",
            "simlm",
            "paper-colbertv2",
        ),
        Claim(
            "SimLM is better than AR2, the best single-vector retriever before it.",
            "Table 2",
            "table2",
            "simlm",
            "paper-ar2",
        ),
    ]


def _plms() -> list[Claim]:
    better = "{} is a better start of a bi-encoder than {}, though worse on GLUE."
    return [
        Claim(better.format("BERT", "RoBERTa"), "Table 1", "table1", "base", "roberta"),
        Claim(better.format("RoBERTa", "ELECTRA"), "Table 1", "table1", "roberta", "electra"),
    ]


def _open_domain() -> list[Claim]:
    return [
        Claim("SimLM finds answers for more questions than BM25.", "Table 4", "table4", "simlm", "bm25"),
        Claim(
            "SimLM finds answers for more questions than coCondenser.",
            "Table 4",
            "table4",
            "simlm",
            "paper-cocondenser",
        ),
    ]


def _rerankers() -> list[Claim]:
    return [
        Claim("ELECTRA is a better start of a re-ranker than SimLM.", "Table 5", "table5", "electra", "simlm"),
        Claim("SimLM is a better start of a re-ranker than BERT.", "Table 5", "table5", "simlm", "base"),
    ]


def _stages() -> list[Claim]:
    steps = [
        ("SimLM improves with mined negatives.", "simlm-2", "simlm-1"),
        ("SimLM improves with distillation.", "simlm", "simlm-2"),
        ("The re-ranker is better than the distilled retriever.", "reranker", "simlm"),
        ("coCondenser improves with mined negatives.", "cocondenser-2", "cocondenser-1"),
        ("coCondenser improves with distillation.", "cocondenser", "cocondenser-2"),
        ("SimLM is better than coCondenser on BM25's negatives.", "simlm-1", "cocondenser-1"),
        ("SimLM is better than coCondenser on mined negatives.", "simlm-2", "cocondenser-2"),
        ("SimLM is better than coCondenser after distillation.", "simlm", "cocondenser"),
    ]
    return [Claim(sentence, "Table 6", "table6", higher, lower) for sentence, higher, lower in steps]


def _objectives() -> list[Claim]:
    orders = [
        ("Replaced LM beats Enc-Dec MLM.", "simlm", "enc-dec-mlm", ABOVE),
        ("Enc-Dec MLM beats Condenser.", "enc-dec-mlm", "condenser", ABOVE),
        ("Condenser is only slightly better than MLM.", "condenser", "mlm", SLIGHTLY),
        ("MLM beats Enc-Dec RTD.", "mlm", "enc-dec-rtd", ABOVE),
        ("AutoEncoder is below no further pre-training.", "base", "autoencoder", ABOVE),
        ("Enc-Dec RTD, the weakest of the others, is above no further pre-training.", "enc-dec-rtd", "base", ABOVE),
        ("Replaced LM beats no further pre-training.", "simlm", "base", ABOVE),
        ("MLM on the target corpus beats no further pre-training.", "mlm", "base", ABOVE),
    ]
    return [Claim(words, "Table 7, Section 5.1", "table7", high, low, kind) for words, high, low, kind in orders]


def _rates() -> list[Claim]:
    kept = [
        Claim(
            f"Replacing 30 % and 50 % is not below replacing {encoder} % and {decoder} %.",
            "Table 8",
            "table8",
            "simlm-30-50",
            f"simlm-{encoder}-{decoder}",
            NOT_BELOW,
        )
        for encoder, decoder in ((15, 15), (15, 30), (30, 30), (40, 60))
    ]
    whole = "Replacing every token of the decoder's input hurts."
    return [*kept, Claim(whole, "Table 8", "table8", "simlm-30-50", "simlm-30-100")]


def _generators() -> list[Claim]:
    same = "A generator that learns beside the encoder{} makes no difference."
    return [
        Claim(same.format(""), "Table 12", "table12", "joint", "simlm", SAME),
        Claim(same.format(" from random weights"), "Table 12", "table12", "joint-random", "simlm", SAME),
    ]


def _corpora() -> list[Claim]:
    claims = []
    for half, other in (("life", "auto"), ("auto", "life")):
        own, foreign, none = (f"{half}-on-{corpus}" for corpus in (half, other, "none"))
        best = f"Pre-training on the collection that is searched is best ({half})."
        helps = f"Pre-training on another collection still helps ({half})."
        claims.append(Claim(best, "Table 10", "table10", own, foreign))
        claims.append(Claim(helps, "Table 10", "table10", foreign, none))
    return claims


def _steps() -> list[Claim]:
    above = "After {} of the updates SimLM is above MLM."
    return [
        Claim(above.format(words), "Figure 3 (read from the plot)", "figure3", f"simlm-{share}", f"mlm-{share}")
        for words, share in (("1/8", "1of8"), ("3/8", "3of8"), ("3/4", "3of4"))
    ] + [
        Claim(
            "SimLM has converged after 3/4 of the updates.", "text on Figure 3", "figure3", "simlm", "simlm-3of4", SAME
        ),
        Claim("MLM still improves after 3/4 of the updates.", "text on Figure 3", "figure3", "mlm", "mlm-3of4"),
    ]


CLAIMS: list[Claim] = [
    *_main(),
    *_plms(),
    *_open_domain(),
    *_rerankers(),
    *_stages(),
    *_objectives(),
    *_rates(),
    *_corpora(),
    *_generators(),
    *_steps(),
]
"""All that are about order, in the order of the tables."""
