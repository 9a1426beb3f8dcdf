"""What the configs of the convolutional families have in common: the checks of the fields that they share."""

from collections.abc import Collection, Mapping

from flax.core import FrozenDict

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.described import Described, check_positive


class ConvolutionalConfig(Described):
    """Beside a frozen dataclass with the fields `clip`, `num_classes`, `width`, `dropout` and `frozen_statistics` and names."""

    def _check(self, names: Mapping[str, Collection[str]]) -> None:
        """Refuses values that contradict themselves; `names` are the names that a field may have. Makes mappings and lists immutable.

        Raises:
          UserError: naming the field of section `model`.
        """
        for field, known in names.items():
            if not isinstance(getattr(self, field), str) or getattr(self, field) not in known:
                raise unknown_name(f"model.{field}", str(getattr(self, field)), known)
        if isinstance(self.num_classes, Mapping):
            object.__setattr__(self, "num_classes", FrozenDict(self.num_classes))
        object.__setattr__(self, "clip", tuple(self.clip))
        if len(self.clip) != 3:
            raise UserError(f"model.clip must be (t, h, w), got {self.clip}")
        counts = {"width": self.width, **{f"clip {axis}": extent for axis, extent in zip("thw", self.clip, strict=True)}}
        counts |= {f"num_classes{f'.{name}' if name else ''}": count for name, count in self.heads.items()}
        for name, count in counts.items():
            check_positive(name, count)
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"model.dropout must be in [0, 1), got {self.dropout}")
        if not isinstance(self.frozen_statistics, bool):
            raise UserError(f"model.frozen_statistics must be true or false, got {self.frozen_statistics!r}")
