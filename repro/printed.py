"""What the paper prints for a scale's collection: Tables 11 and 13, and what there is for Natural Questions."""

import pandas as pd

from repro.chosen import FOR_MS_MARCO, FOR_NQ
from repro.published import published
from simlm.scales import Scale


def of_pretraining(scale: Scale) -> dict[str, object]:
    """Table 11's column, by its rows' names."""
    column = "wikipedia" if scale.by_answers else "ms_marco"
    return published("table11").set_index("hyperparameter")[column].to_dict()


def of_finetuning(scale: Scale) -> pd.DataFrame:
    """Table 13, indexed by its rows' names; for Natural Questions each cell says which collection it is of."""
    thirteen = published("table13").set_index("hyperparameter")
    if not scale.by_answers:
        return thirteen
    own = published("nq").set_index("hyperparameter")
    return _marked(own, FOR_NQ).combine_first(_marked(thirteen, FOR_MS_MARCO))


def _marked(table: pd.DataFrame, mark: str) -> pd.DataFrame:
    return table.map(lambda cell: f"{cell}{mark}", na_action="ignore")
