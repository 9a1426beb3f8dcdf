"""A frozen backbone of any family with a head that was fitted to what it gives (`vivit probe`).

The kinds `linear` and `knn` see statistics over time of one or more layers, `attentive` their tokens. The training features of `knn` are a
collection `bank` beside the parameters, which no step changes: `keys` (rows, d), features of norm 1, and `classes` (rows, classes), zeros
and ones.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vivit_jax.errors import UserError
from vivit_jax.models.cells import Cells
from vivit_jax.models.families import Family, build, family_of
from vivit_jax.models.head import Logits, classified
from vivit_jax.models.layer_outputs import sequence, statistic
from vivit_jax.models.probe.attentive import AttentivePool
from vivit_jax.models.probe.config import ProbeConfig, described

SMOOTHING = 1e-3  # the share of the votes that is spread evenly over all classes, so that no probability is 0


class Probe(nn.Module):
    """The backbone, always in evaluation mode, and the head."""

    config: ProbeConfig

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Logits:
        """Logits (b, classes) of clips of `config.clip`, or these by head; features (b, d) where the config has no head."""
        config = self.config
        backbone = build(config.model).clone(parent=self, name="backbone")
        if config.kind == "attentive":
            tokens, index = tokens_of(config, backbone, video)
            tokens = jax.lax.stop_gradient(tokens) if train else tokens
            features = pool_of(config).clone(parent=self, name="pool")(tokens, index)
        else:
            features = _features(config, backbone, video)
            features = jax.lax.stop_gradient(features) if train else features
        if config.kind == "knn" and config.num_classes is not None:
            return self._votes(features)
        return classified(features, config.heads, nn.initializers.zeros)

    def _votes(self, features: Float[Array, "b d"]) -> Float[Array, "b classes"]:
        """Log-probabilities by the nearest neighbours."""
        config = self.config
        keys = self.variable("bank", "keys", jnp.zeros, (config.rows, features.shape[-1])).value
        classes = self.variable("bank", "classes", jnp.zeros, (config.rows, config.num_classes)).value
        unit = features / jnp.maximum(jnp.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
        cosine, nearest = jax.lax.top_k(jnp.matmul(unit, keys.T, precision="highest"), config.neighbours)
        shares = jnp.einsum("bn,bnc->bc", nn.softmax(cosine / config.temperature), classes[nearest], precision="highest")
        return jnp.log((1 - SMOOTHING) * shares + SMOOTHING / config.num_classes)


def tokens_of(config: ProbeConfig, backbone: nn.Module, video: Float[Array, "b t h w 3"]) -> tuple[Array, Int[np.ndarray, " n"]]:
    """The tokens (b, n, d) that an attentive head sees, side by side where there are several layers, and the time index of each."""
    outputs = family_of(config.model).layer_outputs(backbone, video, config.layers)
    sequences = [sequence(output, config.patches) for output in outputs]
    if len({tokens.shape for tokens, _ in sequences}) > 1:
        raise UserError(
            f"layers {','.join(map(str, config.layers))} have different tokens, some of a frame and some of its places: name fewer"
        )
    return jnp.concatenate([tokens for tokens, _ in sequences], axis=-1), sequences[0][1]


def pool_of(config: ProbeConfig) -> AttentivePool:
    """The attentive pooling of a config."""
    times = family_of(config.model).cells(config.model).shape[0]
    return AttentivePool(times, config.queries, config.num_heads, config.mlp_dim)


def _features(config: ProbeConfig, backbone: nn.Module, video: Array) -> Float[Array, "b d"]:
    if config.own_feature:
        return backbone(video)
    outputs = family_of(config.model).layer_outputs(backbone, video, config.layers)
    return jnp.concatenate([statistic(name, output) for output in outputs for name in config.time], axis=-1)


def _with_backbone(config: ProbeConfig, change: str) -> ProbeConfig:
    backbone = getattr(family_of(config.model), change)(config.model)
    return dataclasses.replace(config, backbone=described(backbone))


def _cells(config: ProbeConfig) -> Cells:
    return family_of(config.model).cells(config.model)


def _height(config: ProbeConfig, path: str) -> int:
    if path.startswith("pool"):
        return _height(config, "head")
    return family_of(config.model).height(config.model, path.removeprefix("backbone/"))


def _describe(config: ProbeConfig) -> str:
    head = {"knn": f"{config.neighbours} nearest neighbours by", "linear": "linear head on", "attentive": "attentive head on"}[config.kind]
    return f"{head} {family_of(config.model).describe(config.model)}"


FAMILY = Family(
    config=ProbeConfig,
    module=Probe,
    height=_height,
    cells=_cells,
    describe=_describe,
    plain=lambda config: _with_backbone(config, "plain"),
    portable=lambda config: _with_backbone(config, "portable"),
    outline=lambda config: _with_backbone(config, "outline"),
    order=("backbone", "pool", "bank", "head"),
    frozen=lambda path: path.startswith("backbone/"),
)
