"""A family of models of some twenty lines, as one would be added: a config, a module, a `FAMILY`."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from vivit_jax.models.cells import Cells
from vivit_jax.models.families import Family


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """The mean colour of each quarter of a frame, normalised by the batch.

    Attributes:
      clip: (t, h, w) of the input video.
      width: of the hidden layer.
      num_classes: of the head.
    """

    family: ClassVar[str] = "toy"
    clip: tuple[int, int, int] = (4, 16, 16)
    width: int = 8
    num_classes: int | None = None
    compute_dtype: ClassVar[jnp.dtype] = jnp.float32

    @property
    def heads(self):
        return {} if self.num_classes is None else {"": self.num_classes}

    def to_dict(self):
        return dataclasses.asdict(self) | {"clip": list(self.clip)}


class Toy(nn.Module):
    config: ToyConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, video, *, train=False):
        b, t, h, w, _ = video.shape
        x = video.reshape(b, t, 2, h // 2, 2, w // 2, 3).mean((3, 5)).reshape(b, -1)
        x = nn.Dense(self.config.width, name="stem")(x)
        x = nn.relu(nn.BatchNorm(not train, axis_name=self.axis_name if train else None, name="norm")(x))
        return nn.Dense(self.config.num_classes, name="head")(x) if self.config.num_classes else x


FAMILY = Family(
    config=ToyConfig,
    module=Toy,
    height=lambda config, path: ["stem", "norm", "head"].index(path.split("/")[0]),
    cells=lambda config: Cells(tuple((t,) for t in range(config.clip[0])), (0, 8, 16), (0, 8, 16)),
    describe=lambda config: f"toy of width {config.width}",
    order=("stem", "norm", "head"),
)
