"""Lengths of time in the unit a config gives them in: epochs, or instead of them steps, examples or percent of the run.

A config spells a duration `warmup` as the keys `warmup_epochs`, `warmup_steps`, `warmup_examples` and `warmup_percent`, and the length of
the run itself as `epochs`, `steps` and `examples`. Epochs have a default; one of the other keys, where given, counts instead.
"""

from typing import Any

from vivit_jax.errors import UserError

INSTEAD_OF_EPOCHS = ("steps", "examples", "percent")


def check_duration(config: Any, section: str, prefix: str, *, zero: bool = False) -> None:
    """Refuses a duration that is given in two units, or is out of range.

    Args:
      config: has the keys of the duration.
      section: the name of the experiment's section, for messages.
      prefix: how the names of the duration's keys begin, such as `warmup_`.
      zero: whether a duration of 0 is allowed.

    Raises:
      UserError: naming the keys.
    """
    given, epochs = _given(config, prefix), getattr(config, f"{prefix}epochs")
    if len(given) > 1:
        raise UserError(f"{' and '.join(f'{section}.{prefix}{unit}' for unit in given)} give one duration twice: set all but one to None")
    for unit, value in ([] if epochs is None else [("epochs", epochs)]) + list(given.items()):
        name = f"{section}.{prefix}{unit}"
        if value < 0 or (value == 0 and not zero):
            raise UserError(f"{name} must be {'at least' if zero else 'above'} 0, got {value}")
        if unit == "percent" and value > 100:
            raise UserError(f"{name} is a share of the run, at most 100, got {value}")


def is_given(config: Any, prefix: str) -> bool:
    """Whether a duration whose keys may all be None has a value; `prefix` is how their names begin."""
    return getattr(config, f"{prefix}epochs") is not None or bool(_given(config, prefix))


def duration_in_steps(config: Any, prefix: str, *, examples: int, batch_size: int, total: int | None = None) -> int:
    """A duration in steps, rounded.

    Args:
      config: has the keys of the duration.
      prefix: how the names of its keys begin.
      examples: examples in an epoch.
      batch_size: examples in a step.
      total: steps of the run; needed for a duration in percent.
    """
    unit, value = next(iter(_given(config, prefix).items()), ("epochs", getattr(config, f"{prefix}epochs")))
    steps_of_one = {
        "epochs": lambda: examples / batch_size,
        "steps": lambda: 1,
        "examples": lambda: 1 / batch_size,
        "percent": lambda: total / 100,
    }
    return round(value * steps_of_one[unit]())


def _given(config: Any, prefix: str) -> dict[str, float]:
    values = {unit: getattr(config, f"{prefix}{unit}", None) for unit in INSTEAD_OF_EPOCHS}
    return {unit: value for unit, value in values.items() if value is not None}
