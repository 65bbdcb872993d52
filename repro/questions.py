"""The settings of Natural Questions' procedure that no table of the paper has a row for (`simlm.scales.questions`)."""

from reports.facts import HyperParameter
from repro.chosen import OF_NQ, RELEASED, row
from simlm.scales import Scale

CHOSEN = "open in the paper; chosen here"


def questions_rows(scale: Scale) -> list[HyperParameter]:
    """What is in force where passages are told apart by answers when models train on them."""
    retriever, search = scale.retriever, scale.search
    return [
        row("training: positives", "labelled, or with an answer and above all negatives", "the same", RELEASED),
        row("training: negatives", "without an answer; none at random", "the same", RELEASED),
        row("training: order of negatives", "the run's", "not said", CHOSEN),
        row("training: sets", "the first negatives' and the mined one", "the same", RELEASED),
        row("training: Retriever1's set", "the first negatives' alone", "not said", CHOSEN),
        row("training: sets on which a checkpoint is chosen", "the mined one alone", "not said", CHOSEN),
        row(
            "retriever: similarities' multiplier",
            f"1 to {1 / retriever.temperature:g} over {retriever.rising} updates",
            "1 to 50 over 1000 updates",
            RELEASED,
        ),
        row("distillation: similarities' multiplier", "the retriever's", "not said", CHOSEN),
        row("retriever: loss times the processes", "on" if retriever.scale_loss else "off", "off", RELEASED),
        row("distillation: loss times the processes", "the retriever's", "not said", CHOSEN),
        row("retriever: seed", retriever.optimisation.seed, "5678", RELEASED),
        row("search: passages a question", search.evaluation_depth, "100", OF_NQ),
    ]
