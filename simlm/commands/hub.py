"""Whether the Hub would give a file: asked as a download asks, and nothing is fetched."""

from typing import Literal

from simlm.errors import UserError
from simlm.models.public import MAIN, PINNED_IN

SECONDS = 10.0
"""How long a server may take to answer."""


class Refused(UserError):
    """The Hub does not give a file: it is gated, or missing, or not cached where nothing may be asked for.

    It would say so again. What a Hub that does not answer would say is not known: that is a mere UserError.
    """


SAID = {"model": "model", "dataset": "data set"}
PINNED = {"model": PINNED_IN, "dataset": "simlm/data/catalogue.py"}
"""Where a commit is named."""


def check_file(kind: Literal["model", "dataset"], repository: str, file: str, revision: str) -> None:
    """Refused for a file that is neither in the Hub's cache nor to be had from the Hub, with its terms accepted.

    UserError where the Hub does not say.
    A repository's description is open to everyone where its files are not: one of them is asked for.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    what, chosen = f"{SAID[kind]} {repository}", revision or MAIN
    model = kind == "model"
    options = f"{'' if model else f' {file} --repo-type {kind}'}{'' if chosen == MAIN else f' --revision {chosen}'}"
    fetch = f"`hf download {repository}{options}`"
    give = f"give its folder{'' if model else ' as --collection'}"
    try:
        if isinstance(try_to_load_from_cache(repository, file, repo_type=kind, revision=chosen), str):
            return
        get_hf_file_metadata(hf_hub_url(repository, file, repo_type=kind, revision=chosen), timeout=SECONDS)
    except GatedRepoError:
        raise Refused(
            f"{what} is gated: accept its terms on its page of the Hub, log in there with `hf auth login`, and "
            "run again"
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        if isinstance(error, RevisionNotFoundError) and chosen != MAIN:
            raise Refused(
                f"{what}: the Hub does not have its revision {chosen} any more; name another in {PINNED[kind]}, which "
                f"has its source, or {give}"
            ) from None
        raise Refused(
            f"{what} (revision {chosen}): the Hub has no such public {SAID[kind]}; check the name, log in with "
            "`hf auth login` if it is private, or give a folder that holds it"
        ) from None
    except EntryNotFoundError:
        raise Refused(f"{what} (revision {chosen}): there is no {file} in it; check the name") from None
    except OfflineModeIsEnabled:
        raise Refused(
            f"{what} is not in the Hub's cache, and HF_HUB_OFFLINE forbids to fetch it: unset that, or fetch it "
            f"where there is a network with {fetch} and {give}"
        ) from None
    except HfHubHTTPError as error:
        raise UserError(
            f"{what}: the Hub answered with status {error.response.status_code}; run again later, or log in there with "
            "`hf auth login` if that may have expired"
        ) from None
    except Exception as error:  # whatever the HTTP library below raises for a network that is not there
        raise UserError(
            f"{what}: the Hub cannot be reached ({type(error).__name__}); check the network or its proxy, or "
            f"fetch the {SAID[kind]} elsewhere with {fetch} and {give}"
        ) from None
