"""Models that somebody else published: the commits at which they are fetched.

A branch of the Hub moves, a commit does not. A commit stands here, or in the record of a published system
(`baselines.systems`), where a public source names repository and commit together; "its page" is the Hub's own page of
the repository at that commit. All others are fetched at `MAIN`, and manifest and report name the commit that was.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"
PINNED_IN = "simlm/models/public.py or baselines/systems.py"
"""Where a reader names another commit."""


class Pin(NamedTuple):
    """A commit of 40 hexadecimal digits, and the source that names it beside its repository."""

    commit: str
    source: str


PINS: Mapping[str, Pin] = {
    "bert-base-uncased": Pin(
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        "paths models--bert-base-uncased/snapshots/<commit> of the Hub's cache, in many public repositories; the Hub's "
        "page google-bert/bert-base-uncased/blob/refs/pr/71/tokenizer_config.json has its first digits",
    ),
    "roberta-base": Pin(
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "its page FacebookAI/roberta-base/blob/<commit>/vocab.json; paths models--roberta-base/snapshots/<commit> of "
        "the Hub's cache, in public repositories",
    ),
    "google/electra-base-generator": Pin(
        "1c65e3f5f4597679b87620707df5774c08c6606d",
        "its page commits/<commit>; main is one commit newer, which changed tokenizer_config.json only (tree/main)",
    ),
    "google/electra-base-discriminator": Pin(
        "1ae76a97c7e84a4e640876a07453fccd636f0667",
        "its page tree/<commit>; tables of pinned models in public repositories",
    ),
}
"""The models of the scales."""


def revision_of(repository: str) -> str:
    """Return what a repository is fetched at: the commit that is pinned, or ``MAIN``, also for what is none."""
    return PINS[repository].commit if repository in PINS else MAIN
