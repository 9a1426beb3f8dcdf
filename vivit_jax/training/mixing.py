"""Mixup and cutmix on device: each clip of a batch with its partner, the clip at the same place counted from the batch's end.

Both are one operation: a weight for each pixel, video = weight * own + (1 - weight) * partner's, the same for all frames; the label's
weight is the mean over the pixels. Mixup's weight is constant over the frame, cutmix's is 0 in a box and 1 around it. The weights are
drawn once per batch, or for each clip by itself: a clip's draw is a function of its place in the global batch, on any number of devices.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vivit_jax.training.config import TrainingConfig

Batch = dict[str, Any]


def paired(batch: Batch, key: Array, training: TrainingConfig, axis_name: str | None = None) -> Batch:
    """`batch` and, of each of its clips, `partner_video`, `partner_label` and `own_weight` (b, h, w), with which `mix` mixes it."""
    count, _, height, width, _ = batch["video"].shape
    if training.mix_per == "example":
        keys = jax.vmap(lambda place: jax.random.fold_in(key, place))(places(count, axis_name))
        weights = jax.vmap(lambda key: pixel_weights(key, training.mixup, training.cutmix, height, width))(keys)
    else:
        weights = jnp.broadcast_to(pixel_weights(key, training.mixup, training.cutmix, height, width), (count, height, width))
    partner = jax.tree.map(lambda x: partners(x, axis_name), batch)
    return batch | {f"partner_{name}": value for name, value in partner.items()} | {"own_weight": weights}


def mix(own: Float[Array, " b *shape"], partner: Float[Array, " b *shape"], weight: Float[Array, " b *shape"]) -> Float[Array, " b *shape"]:
    """Each row with its partner; the last axes of `weight` may be 1."""
    return weight * own + (1 - weight) * partner


def places(count: int, axis_name: str | None = None) -> Int[Array, " b"]:
    """The places in the global batch of the `count` rows of this part of it."""
    first = jax.lax.axis_index(axis_name) * count if axis_name else 0
    return first + jnp.arange(count)


def partners(batch: Array, axis_name: str | None = None) -> Array:
    """Each row's partner: the batch (b, ...) in reverse, across the devices of `axis_name` where it is divided over one."""
    reverse = batch[::-1]
    if axis_name is None:
        return reverse
    size = jax.lax.axis_size(axis_name)
    return jax.lax.ppermute(reverse, axis_name, [(device, size - 1 - device) for device in range(size)])


def pixel_weights(key: Array, mixup: float, cutmix: float, height: int, width: int) -> Float[Array, "h w"]:
    """Draws the weights of a clip's own pixels: mixup's or cutmix's, or where both alphas are above 0 those of one of them at random."""
    choice, share, place = jax.random.split(key, 3)
    is_cutmix = jax.random.bernoulli(choice, 0.5) if mixup and cutmix else bool(cutmix)
    alpha = jnp.where(is_cutmix, cutmix, mixup)
    own = jax.random.beta(share, alpha, alpha)
    return jnp.where(is_cutmix, box_weights(place, own, height, width), own)


def box_weights(key: Array, own: Float[Array, ""], height: int, width: int) -> Float[Array, "h w"]:
    """0 in a box of the frame's aspect, 1 elsewhere. Before it is cut at the edges, it covers 1 - `own` of the frame."""
    centre = jax.random.uniform(key, (2,)) * jnp.array([height, width])
    half = jnp.sqrt(1 - own) * jnp.array([height, width]) / 2
    low, high = jnp.round(centre - half), jnp.round(centre + half)
    rows, columns = jnp.arange(height), jnp.arange(width)
    inside_rows = (rows >= low[0]) & (rows < high[0])
    inside_columns = (columns >= low[1]) & (columns < high[1])
    return 1.0 - (inside_rows[:, None] & inside_columns[None, :])
