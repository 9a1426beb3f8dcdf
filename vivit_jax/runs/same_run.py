"""Whether a run goes on with the configuration that it began with: which keys may change, and which differ."""

import json
from pathlib import Path
from typing import Any

from vivit_jax.config import Experiment, to_dict
from vivit_jax.errors import UserError

# Keys that may change when a run is resumed: the training stays the same, up to rounding and the draws of dropout.
HARMLESS = (
    "name",
    "data.data_dir",
    "data.readers",
    "data.processes",
    "data.cache_gigabytes",
    "data.test_split",
    "model.remat",
    "training.accumulation",
    "training.log_every",
    "training.prefetch",
    "training.tensorboard",
    "training.wandb",
    "training.compilation_cache",
    "training.profile_steps",
    "evaluation.test_views",
    "evaluation.test_flip",
    "evaluation.batch_size",
    "evaluation.patience",
    "checkpoint",
    "parallel",
)


def plain(experiment: Experiment) -> dict:
    """The configuration as `config.json` holds it: nested dicts of plain values."""
    return json.loads(json.dumps(to_dict(experiment)))


def check_same_run(old: dict, new: dict, path: Path) -> None:
    """Compares two configurations of a work directory, as `plain` gives them.

    Args:
      old: the one that the run began with.
      new: the one that it is to go on with.
      path: the work directory, for the error.

    Raises:
      UserError: naming every key that differs and may not change.
    """
    before, after = _flat(old), _flat(new)
    changes = [
        f"{key}: {before.get(key)!r} there, {after.get(key)!r} now"
        for key in sorted(before | after)
        if before.get(key) != after.get(key) and not (key.startswith(HARMLESS) and not _changes_numbers(key, after))
    ]
    if changes:
        raise UserError(f"--workdir {path} holds a run of another configuration ({'; '.join(changes)}): undo this, or give a new --workdir")


def _changes_numbers(key: str, values: dict[str, Any]) -> bool:
    """Whether a key that may change for most models matters to this one: each microbatch is normalised by statistics of its own."""
    return key == "training.accumulation" and values.get("model.frozen_statistics") is False


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted keys."""
    if not isinstance(values, dict):
        return {prefix: values}
    return {key: value for name, inner in values.items() for key, value in _flat(inner, f"{prefix}.{name}" if prefix else name).items()}
