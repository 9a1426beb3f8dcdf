"""Unwraps the state dicts that training code saves: from keys of a checkpoint around them, and words in front of all names."""

import re
from collections.abc import Iterable, Mapping

from vivit_jax.errors import UserError

# Where a checkpoint keeps its tensors; an average of the weights, where there is one, is what its authors evaluate.
AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "model_ema_state_dict", "ema", "params_ema")
KEYS = (*AVERAGED, "state_dict", "model", "teacher", "model_state_dict", "model_state", "net", "network", "params", "student", "module")
NESTED = 4  # wrappings of one kind in one another; a file may hold a dict that holds itself

# Modules that torch puts around others: by `compile`, FSDP and activation checkpointing.
TRANSPARENT = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
WORDS = ("module", "model", "net", "network", "backbone", "ema_model")
COUNTERS = ("n_averaged",)  # torch's AveragedModel counts its steps beside the model


def state_dict_in(checkpoint: object) -> tuple[object, str]:
    """The tensors of a training checkpoint, where it is one, under the names that timm, DeiT, DINO, Lightning and others use.

    Returns:
      The tensors, and the key that they were under where other keys hold weights too.
    """
    taken = ""
    for depth in range(NESTED):
        keys = [key for key in KEYS if _holds_tensors(checkpoint.get(key))] if isinstance(checkpoint, Mapping) else []
        if not keys or (depth and sum(map(_holds_tensors, checkpoint.values())) > 1):  # within it, several are parts of one model
            break
        checkpoint, taken = checkpoint[keys[0]], keys[0] if keys[1:] else taken
    return checkpoint, taken


def _holds_tensors(value: object) -> bool:
    """Whether this may be a state dict, and not the settings of an average, say."""
    return isinstance(value, Mapping) and any(isinstance(part, Mapping) or hasattr(part, "shape") for part in value.values())


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """The names as the model itself has them, {that: the one given}, without counters.

    A word is taken off only where all names begin with it, so that parts that lie side by side stay apart.

    Raises:
      UserError: for two names that are the same model's.
    """
    inner = {}
    for name in names:
        bare = TRANSPARENT.sub("", name)
        if bare in inner:
            raise UserError(f"{inner[bare]} and {name} are the same tensor, {bare}, of a model that torch wraps: save its state_dict alone")
        if name not in COUNTERS:
            inner[bare] = name
    for _ in range(NESTED):
        word = next((word for word in WORDS if inner and all(name.startswith(f"{word}.") for name in inner)), None)
        if word is None:
            break
        inner = {name.removeprefix(f"{word}."): given for name, given in inner.items()}
    return inner
