"""The base of the configs of all families: the type of the computation, the heads, plain values for JSON."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from vivit_jax.errors import UserError
from vivit_jax.heads import by_head

DTYPES = ("auto", "float32", "bfloat16")


class BaseConfig:
    """The base of a config, a frozen dataclass with the fields `dtype` and `num_classes`."""

    @property
    def compute_dtype(self) -> jnp.dtype:
        """The type of the computation on the device at hand."""
        if self.dtype == "auto":
            return jnp.dtype("float32" if jax.default_backend() == "cpu" else "bfloat16")
        return jnp.dtype(self.dtype)

    @property
    def heads(self) -> dict[str, int]:
        """Classes of each head by name; a single head has the empty name."""
        return {} if self.num_classes is None else by_head(self.num_classes)

    def to_dict(self) -> dict:
        """Plain values for JSON, from which the same config can be made."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(self.num_classes, Mapping):
            values["num_classes"] = dict(self.num_classes)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def check_classes(num_classes: int | Mapping[str, int] | None) -> None:
    """Refuses a head without classes, and heads by name without a name.

    Raises:
      UserError: naming the field.
    """
    if isinstance(num_classes, Mapping) and not num_classes:
        raise UserError("model.num_classes must name a head, or be None for a model without one, got {}")
    for name, count in ({} if num_classes is None else by_head(num_classes)).items():
        check_positive(f"num_classes{f'.{name}' if name else ''}", count)


def check_positive(field: str, value: object) -> None:
    """Refuses what is not a whole number of at least 1.

    Raises:
      UserError: naming the field of section `model`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"model.{field} must be a whole number of at least 1, got {value!r}")
