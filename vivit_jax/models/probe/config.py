"""The config of a probe: a backbone, what of it the head sees, and the head."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from flax.core import FrozenDict

from vivit_jax import errors
from vivit_jax.errors import UserError
from vivit_jax.models.base_config import BaseConfig, check_name, check_positive
from vivit_jax.models.families import ModelConfig, family_of, make_config
from vivit_jax.models.layer_outputs import STATISTICS

KINDS = ("linear", "knn", "attentive")
LAST = (-1,)


@dataclasses.dataclass(frozen=True)
class ProbeConfig(BaseConfig):
    """A frozen backbone and a head on its features or tokens.

    Attributes:
      backbone: the config of another family without a head, with its `family`.
      num_classes: classes of the head, or of several heads by name; None for no head: the model then returns the head's features.
      kind: the head: `linear`, `knn` (nearest neighbours in a training set) or `attentive` (learned queries attend to the tokens).
      time: the statistics over time that `linear` and `knn` see: `mean` (the backbone's own feature), `deviation`, `difference`.
      layers: the backbone's layers that are used, counted back from -1, the last.
      rows: under `knn`, how many features of the training set are stored.
      neighbours: under `knn`, how many of them, the nearest, decide on a video.
      temperature: under `knn`, each neighbour's class gets the weight exp(cosine / temperature).
      patches: under `attentive`, the side of the grid that the patches of each time index are averaged to; 0 keeps them all.
      queries: under `attentive`, the number of learned queries.
      num_heads: under `attentive`, the number of attention heads; it divides the width of the tokens.
      mlp_dim: under `attentive`, the hidden units of an MLP after the attention; 0 has none.
      clip: (t, h, w) of the input video: the backbone's.

    Raises:
      UserError: when the values contradict each other.
    """

    family: ClassVar[str] = "probe"

    backbone: Mapping[str, Any] = FrozenDict()  # refused: there is no default backbone
    num_classes: int | Mapping[str, int] | None = None
    kind: str = "knn"  # the only kind that older versions wrote
    time: tuple[str, ...] = ("mean",)
    layers: tuple[int, ...] = LAST
    rows: int = 1
    neighbours: int = 10
    temperature: float = 0.1
    patches: int = 4
    queries: int = 1
    num_heads: int = 1
    mlp_dim: int = 0
    clip: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, Mapping) or not isinstance(self.backbone.get("family"), str):
            got = dict(self.backbone) if isinstance(self.backbone, Mapping) else self.backbone
            raise UserError(f"model.backbone must be a model's config with its family (`vivit probe` makes one), got {got!r}")
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in self.backbone.items()}
        self._set("backbone", FrozenDict(plain))
        if plain["family"] == self.family or self.model.num_classes is not None:
            got = f"family {plain['family']} with num_classes {plain.get('num_classes')}"
            raise UserError(f"model.backbone must be of another family and without a head, got {got}")
        self._set("clip", tuple(self.model.clip))
        check_name("kind", self.kind, KINDS)
        self._check_heads()
        for field in ("rows", "neighbours", "queries", "num_heads"):
            check_positive(field, getattr(self, field))
        for field in ("patches", "mlp_dim"):
            if not isinstance(getattr(self, field), int) or getattr(self, field) < 0:
                raise UserError(f"model.{field} must be a whole number of at least 0, got {getattr(self, field)!r}")
        if self.neighbours > self.rows and self.kind == "knn" and self.num_classes is not None:
            raise UserError(f"model.neighbours must be at most model.rows {self.rows}, got {self.neighbours}")
        if isinstance(self.temperature, bool) or not isinstance(self.temperature, int | float) or not 0 < self.temperature < 100:
            raise UserError(f"model.temperature must be above 0 and below 100, got {self.temperature!r}")
        self._check_outputs()

    def _check_outputs(self) -> None:
        """Refuses statistics and layers that the backbone does not give."""
        family, times = family_of(self.model), family_of(self.model).cells(self.model).shape[0]
        for name in self.time:
            errors.check_name("a statistic over time", name, STATISTICS)
        for field in ("time", "layers"):
            values = getattr(self, field)
            if not values or len(set(values)) < len(values):
                raise UserError(f"model.{field} must name one or more, each once, got {','.join(map(str, values))}")
        depth = family.height(self.model, "head") - 1
        for layer in self.layers:
            if not isinstance(layer, int) or not -depth <= layer <= -1:
                raise UserError(f"a layer must be from -{depth}, the first, to -1, the last, got {layer!r}")
        if self.own_feature:
            return
        if family.layer_outputs is None:
            raise UserError(
                f"a backbone of family {self.model.family} gives its own features alone: leave --time and --layers out, and use --kind "
                "linear or knn"
            )
        if times < 2 and self.kind != "attentive" and set(self.time) - {"mean"}:
            raise UserError(f"{','.join(self.time)} over time needs two time indices or more, and the backbone has {times}")

    @property
    def own_feature(self) -> bool:
        """Whether the head sees the backbone's own feature and nothing else, which a backbone of any family gives."""
        return self.kind != "attentive" and self.time == ("mean",) and self.layers == LAST

    @property
    def model(self) -> ModelConfig:
        """The backbone's config."""
        return make_config(self.backbone["family"], {key: value for key, value in self.backbone.items() if key != "family"})

    @property
    def scan_layers(self) -> bool:
        """Whether the backbone's layers are stacked."""
        return getattr(self.model, "scan_layers", False)

    @property
    def compute_dtype(self) -> jnp.dtype:
        """The type of the backbone's computation on the device at hand."""
        return self.model.compute_dtype

    def to_dict(self) -> dict:
        """Plain values for JSON, those of the backbone with its family."""
        return super().to_dict() | {"backbone": described(self.model)}


def described(config: ModelConfig) -> dict:
    """A backbone's config with its family, as `ProbeConfig.backbone` has it."""
    return {"family": config.family} | config.to_dict()
