"""What mini and paper scale set alike, in Table 13's bi-encoder columns."""

from simlm.scales.settings import NegativesSettings, Optimisation, RetrieverSettings


def lists() -> NegativesSettings:
    """The paper's depth of hard negatives, in lists that random passages fill up."""
    return NegativesSettings.C(depth=200, total=210)


def retriever(
    optimisation: Optimisation,
    passages: int,
    evaluations: int,
    temperature: float,
    passage_length: int,
    evaluation_queries: int,
) -> RetrieverSettings:
    """A bi-encoder's training, with ``passages`` a query of which one is the positive; lengths are in tokens."""
    return RetrieverSettings.C(
        optimisation=optimisation,
        passages_per_query=passages,
        temperature=temperature,
        query_length=32,
        passage_length=passage_length,
        negatives=lists(),
        evaluations=evaluations,
        evaluation_queries=evaluation_queries,
    )
