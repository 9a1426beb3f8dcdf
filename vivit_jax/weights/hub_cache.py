"""A source of weights as a path on this machine; what `hf://org/name` names is fetched into the cache of the Hugging Face hub."""

import os
import pathlib
import re

from vivit_jax.errors import UserError
from vivit_jax.files import at_home
from vivit_jax.weights.model_json import CONFIG, PREPROCESS
from vivit_jax.weights.tensor_files import first_line
from vivit_jax.weights.tensors import DIRECTORY_FILES, shard_map

HUB = "hf://"
REACH_TIMEOUT = 5  # seconds

# The files that say how a Hugging Face model's pixels are prepared; earlier ones take precedence.
PROCESSORS = ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json")


def local_path(source: str | os.PathLike) -> pathlib.Path:
    """The source on this machine; `hf://org/name@revision` is taken from the hub's cache, or fetched into it."""
    source = os.fspath(source)
    if not source.startswith(HUB):
        return at_home(source)
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source.removeprefix(HUB))
    if match is None:
        raise UserError(f"{source} must be hf://organisation/name or hf://organisation/name@revision")
    return _from_hub(source, *match.groups())


def _from_hub(source: str, repository: str, revision: str | None) -> pathlib.Path:
    """The repository's snapshot, of which only data files are fetched: weights once, safetensors first, and the JSON beside them."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    unreachable = why_unreachable()

    def fetch(name: str) -> pathlib.Path | None:
        try:
            return pathlib.Path(hf_hub_download(repository, name, revision=revision, local_files_only=unreachable is not None))
        except EntryNotFoundError:  # also its subclass for a file that is not in the cache while offline
            return None

    try:
        weights = next((file for name in DIRECTORY_FILES if (file := fetch(name))), None)
        if weights is None and unreachable:
            raise UserError(
                f"{source} cannot be fetched: {unreachable}; give the path of a copy on this machine, or, for one in the hub's cache, "
                "set HF_HUB_OFFLINE=1"
            )
        if weights is None:
            raise UserError(f"{source}: found none of {', '.join(DIRECTORY_FILES)}; offline, only files in the cache are found")
        for name in (CONFIG, PREPROCESS, *PROCESSORS):
            fetch(name)
        if weights.name.endswith(".index.json"):
            for name in sorted(set(shard_map(weights).values())):
                fetch(name)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(f"{source} cannot be fetched: {first_line(error)}") from None
    return weights.parent


def why_unreachable() -> str | None:
    """Why the hub does not answer, within seconds; None if it does, or must not be asked. Its own client tries each file for minutes."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        get_session().head(constants.ENDPOINT, timeout=REACH_TIMEOUT)
    except Exception as error:  # of httpx or requests, by version, and of what a proxy needs
        return f"{constants.ENDPOINT} does not answer ({' '.join(str(error).split()) or type(error).__name__})"
    return None
