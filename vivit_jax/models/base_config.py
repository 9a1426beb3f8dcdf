"""What the configs of all families share: the type of the computation, the heads, plain values for JSON, and checks of single values."""

import dataclasses
from collections.abc import Collection, Mapping

import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from vivit_jax import errors
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

    def _set(self, field: str, value: object) -> None:
        """Replaces a value of the frozen dataclass while it is made."""
        object.__setattr__(self, field, value)

    def _check_heads(self) -> None:
        """Refuses a head without classes, and heads by name without one that can be stored. Makes heads by name immutable."""
        if isinstance(self.num_classes, Mapping):
            if not self.num_classes:
                raise UserError("model.num_classes must name a head, or be None for a model without one, got {}")
            for name in self.num_classes:
                if not isinstance(name, str) or not name or "/" in name:  # it becomes a part of a parameter's path, and a key of JSON
                    raise UserError(f"model.num_classes must name each head by a text without /, got {name!r}")
            self._set("num_classes", FrozenDict(self.num_classes))
        for name, count in self.heads.items():
            check_positive(f"num_classes{f'.{name}' if name else ''}", count)


# Each check of a value raises a UserError that names the field of section `model`.


def check_name(field: str, value: object, known: Collection[str]) -> None:
    """Refuses what is not one of the known names."""
    errors.check_name(f"model.{field}", value, known)


def check_flag(field: str, value: object) -> None:
    """Refuses what is neither true nor false."""
    if not isinstance(value, bool):
        raise UserError(f"model.{field} must be true or false, got {value!r}")


def check_rate(field: str, value: float) -> None:
    """Refuses a rate of dropout outside [0, 1)."""
    errors.check_share(f"model.{field}", value)


def check_positive(field: str, value: object) -> None:
    """Refuses what is not a whole number of at least 1; of NumPy's, which JSON does not take, any."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"model.{field} must be a whole number of at least 1, got {value!r}")
