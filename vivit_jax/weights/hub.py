"""Puts a model directory on the Hugging Face hub; `hf://org/name` reads it back (`vivit_jax.weights.hub_cache`).

It makes one commit of exactly the directory's files and the card, as `HfApi.upload_folder` would of a folder that held the card too.
`ModelHubMixin.push_to_hub` would write the weights a second time to a temporary folder, under a class of ours, with a card of its own
template; here the files that were checked are the files that are sent.
"""

import pathlib
import re

from vivit_jax.errors import UserError, in_one_line
from vivit_jax.weights.hub_cache import HUB, why_unreachable
from vivit_jax.weights.model_json import CONFIG, PREPROCESS, WEIGHTS
from vivit_jax.weights.tensor_files import first_line

CARD = "README.md"
NAME = re.compile(r"[\w.-]+/[\w.-]+")


def repository_named(name: str) -> str:
    """The repository of `org/name`, or of `hf://org/name`.

    Raises:
      UserError: for a name without its organisation, or one that the hub does not take.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    repository = name.removeprefix(HUB)
    if not NAME.fullmatch(repository):
        raise UserError(f"a repository of the hub is named organisation/name, or user/name, got {name!r}")
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(in_one_line(error)) from None
    return repository


def push(
    path: pathlib.Path, repository: str, card: str, *, private: bool = False, revision: str | None = None, message: str | None = None
) -> str:
    """Makes the repository if there is none, and commits the files of a model directory with a card.

    Args:
      path: the model directory, which was loaded without an error.
      repository: the name that `repository_named` gives.
      card: the text of its README.md, which replaces an older one.
      private: whether a new repository can be seen by its owners alone; an older one must be so.
      revision: the branch, made if there is none; None is `main`.
      message: the message of the commit; None names the directory.

    Returns:
      The commit's address.

    Raises:
      UserError: without a token, for a public repository if it shall be private, or if the hub cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if not get_token():
        raise UserError("the hub needs a token that may write: `hf auth login` keeps one, or set HF_TOKEN")
    if reason := why_unreachable():
        raise UserError(f"{HUB}{repository} cannot be pushed: {reason}")
    files = [CommitOperationAdd(name, path / name) for name in (CONFIG, PREPROCESS, WEIGHTS)]
    hub = HfApi(library_name="vivit_jax")
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        if private and not hub.model_info(repository).private:
            raise UserError("it exists already and is public: leave out --private, or make it private on the hub")
        if revision:
            hub.create_branch(repository, branch=revision, exist_ok=True)
        done = hub.create_commit(
            repository,
            [*files, CommitOperationAdd(CARD, card.encode())],
            commit_message=message or f"Push {path.absolute().name} by vivit_jax",
            revision=revision,
        )
    except Exception as error:  # the hub's own, of httpx or requests by version, and of an upload's storage
        raise UserError(f"{HUB}{repository} cannot be pushed: {in_one_line(first_line(error))}") from None
    return done.commit_url
