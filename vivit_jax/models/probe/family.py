"""A frozen backbone of any family, whose head classifies a video by its nearest neighbours in a training set (`vivit probe`).

The features of the training set are a collection `bank` beside the parameters, which no step changes: `keys` (rows, d), features of norm 1,
and `classes` (rows, classes), zeros and ones.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import FrozenDict
from jaxtyping import Array, Float

from vivit_jax.errors import UserError
from vivit_jax.models.described import check_positive
from vivit_jax.models.families import Cells, Family, ModelConfig, build, family_of, make_config

SMOOTHING = 1e-3  # the share of the votes that is spread evenly over all classes, so that no probability is 0


@dataclasses.dataclass(frozen=True)
class ProbeConfig:
    """A backbone and the nearest neighbours of its features.

    Attributes:
      backbone: the config of another family without a head, with its `family`.
      num_classes: classes of the head; None for no head: the model then returns the backbone's features.
      rows: how many features of the training set are stored.
      neighbours: how many of them, the nearest, decide on a video.
      temperature: each neighbour's class gets the weight exp(cosine / temperature).
      clip: (t, h, w) of the input video: the backbone's.

    Raises:
      UserError: when the values contradict each other.
    """

    family: ClassVar[str] = "probe"

    backbone: Mapping[str, Any]
    num_classes: int | None = None
    rows: int = 1
    neighbours: int = 10
    temperature: float = 0.1
    clip: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, Mapping) or not isinstance(self.backbone.get("family"), str):
            raise UserError(f"model.backbone must be a model's config with its family, got {self.backbone!r}")
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in self.backbone.items()}
        object.__setattr__(self, "backbone", FrozenDict(plain))
        if plain["family"] == self.family or self.model.num_classes is not None:
            got = f"family {plain['family']} with num_classes {plain.get('num_classes')}"
            raise UserError(f"model.backbone must be of another family and without a head, got {got}")
        object.__setattr__(self, "clip", tuple(self.model.clip))
        for field in ("rows", "neighbours", *(("num_classes",) if self.num_classes is not None else ())):
            check_positive(field, getattr(self, field))
        if self.neighbours > self.rows:
            raise UserError(f"model.neighbours must be at most model.rows {self.rows}, got {self.neighbours}")
        if isinstance(self.temperature, bool) or not isinstance(self.temperature, int | float) or not 0 < self.temperature < 100:
            raise UserError(f"model.temperature must be above 0 and below 100, got {self.temperature!r}")

    @property
    def model(self) -> ModelConfig:
        """The backbone's config."""
        return make_config(self.backbone["family"], {key: value for key, value in self.backbone.items() if key != "family"})

    @property
    def scan_layers(self) -> bool:
        """Whether the backbone's layers are stacked."""
        return getattr(self.model, "scan_layers", False)

    @property
    def heads(self) -> dict[str, int]:
        """Classes of the one head."""
        return {} if self.num_classes is None else {"": self.num_classes}

    @property
    def compute_dtype(self) -> jnp.dtype:
        """The type of the backbone's computation on the device at hand."""
        return self.model.compute_dtype

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {"backbone": described(self.model), "clip": list(self.clip)}


def described(config: ModelConfig) -> dict:
    """A backbone's config with its family, as `ProbeConfig.backbone` has it."""
    return {"family": config.family} | config.to_dict()


class Probe(nn.Module):
    """The backbone, always in evaluation mode, and the votes of a video's nearest neighbours."""

    config: ProbeConfig

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Float[Array, "b classes"]:
        """Log-probabilities (b, classes) of clips of `config.clip`; features (b, d) where the config has no head."""
        config = self.config
        features = build(config.model).clone(parent=self, name="backbone")(video)
        features = jax.lax.stop_gradient(features) if train else features
        if config.num_classes is None:
            return features
        keys = self.variable("bank", "keys", jnp.zeros, (config.rows, features.shape[-1])).value
        classes = self.variable("bank", "classes", jnp.zeros, (config.rows, config.num_classes)).value
        unit = features / jnp.maximum(jnp.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
        cosine, nearest = jax.lax.top_k(jnp.matmul(unit, keys.T, precision="highest"), config.neighbours)
        shares = jnp.einsum("bn,bnc->bc", nn.softmax(cosine / config.temperature), classes[nearest], precision="highest")
        return jnp.log((1 - SMOOTHING) * shares + SMOOTHING / config.num_classes)


def _with_backbone(config: ProbeConfig, change: str) -> ProbeConfig:
    backbone = getattr(family_of(config.model), change)(config.model)
    return dataclasses.replace(config, backbone=described(backbone))


def _cells(config: ProbeConfig) -> Cells:
    return family_of(config.model).cells(config.model)


def _height(config: ProbeConfig, path: str) -> int:
    return family_of(config.model).height(config.model, path.removeprefix("backbone/"))


def _describe(config: ProbeConfig) -> str:
    return f"{config.neighbours} nearest neighbours by {family_of(config.model).describe(config.model)}"


FAMILY = Family(
    config=ProbeConfig,
    module=Probe,
    height=_height,
    cells=_cells,
    describe=_describe,
    plain=lambda config: _with_backbone(config, "plain"),
    outline=lambda config: _with_backbone(config, "outline"),
    order=("backbone", "bank"),
)
