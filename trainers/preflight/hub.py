"""Whether a repository of the Hugging Face hub can be had: from the cache here, or from the hub itself. Torch-free.

The hub is asked only for what is not cached, and not waited for long.
"""

import os
import pathlib

#: how long the hub may take to answer
_SECONDS = 8.0


def cached(repository: str, file: str) -> pathlib.Path | None:
    """A file of a repository in this machine's cache, or None."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  (only for hub ids, and slow to import)
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    try:
        found = try_to_load_from_cache(repository, file)
    except HFValidationError:
        return None
    return pathlib.Path(found) if isinstance(found, str) else None


def problem(repository: str, file: str) -> str | None:
    """Why `file` of a repository that is not cached cannot be had now, in words; None where it can."""
    from huggingface_hub import HfApi, constants, errors  # noqa: PLC0415

    fetch = f"fetch it where there is a network (`hf download {repository}`), or name a local folder or file"
    if constants.HF_HUB_OFFLINE:
        return f"{repository!r} is not cached here, and HF_HUB_OFFLINE is set; {fetch}"
    try:
        there = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(repository, timeout=_SECONDS)
    except errors.HFValidationError:
        return f"{repository!r} is neither here nor a hub id (owner/name)"
    except errors.GatedRepoError:
        return f"{repository!r}: the hub wants its terms accepted and a log-in first: `hf auth login`"
    except errors.RepositoryNotFoundError:
        return f"the hub knows no {repository!r}: it was removed, is private, or is misspelled; name another one"
    except Exception as error:  # the hub's client and what it stands on raise many kinds where there is no network
        return f"{repository!r} is not cached here, and the hub cannot be asked ({type(error).__name__}); {fetch}"
    names = {sibling.rfilename for sibling in there.siblings or ()}
    return None if file in names else f"the hub's {repository!r} holds no {file}"
