"""Stochastic depth (Huang et al. 2016) that computes nothing for the examples it drops, as DINOv2 trains (Oquab et al. 2024, Sec. 5)."""

import dataclasses

from jaxtyping import Array, Float

from vivit_jax.errors import UserError
from vivit_jax.models.kernels.subsets import Subset, draw, put, subset_of, take


@dataclasses.dataclass(frozen=True)
class KeptExamples:
    """The examples that a residual is computed for: the same number in each part of the batch, drawn anew for each residual.

    Attributes:
      parts: the parts of the batch, one a device, each of which keeps examples of its own so that none moves.
      examples: the examples of a part.
      kept: how many of them are kept.
    """

    parts: int
    examples: int
    kept: int

    @property
    def share(self) -> float:
        """The share of the examples that is kept."""
        return self.kept / self.examples

    def draw(self, key: Array) -> Subset:
        """Draws the examples that a residual is computed for."""
        return subset_of(draw(key, (self.parts, self.examples), self.kept), self.kept)

    def take(self, x: Float[Array, "b *n d"], subset: Subset) -> Float[Array, "k *n d"]:
        """The examples that are kept."""
        return take(x.reshape(self.parts, self.examples, *x.shape[1:]), subset).reshape(-1, *x.shape[1:])

    def put(self, taken: Float[Array, "k *n d"], among: Float[Array, "b *n d"], subset: Subset) -> Float[Array, "b *n d"]:
        """All examples, those that are kept being as in `taken`."""
        parts = (x.reshape(self.parts, -1, *x.shape[1:]) for x in (taken, among))
        return put(*parts, subset).reshape(among.shape)


def rates_of(last: float, layers: int) -> list[float]:
    """The rate at which each layer drops residuals: linear in depth, from 0 to that of the last layer."""
    return [last * layer / max(layers - 1, 1) for layer in range(layers)]


def kept_examples(rates: list[float], batch: int, parts: int) -> list[KeptExamples | None]:
    """For each layer's rate, the examples that are kept; None where the number nearest to the rate is all of them.

    Raises:
      UserError: where no layer drops an example.
    """
    examples = batch // parts
    kept = [max(examples - round(rate * examples), 1) for rate in rates]
    if max(rates) and min(kept) == examples:
        raise UserError(
            f"model.stochastic_depth {max(rates):g} drops none of the {examples} examples that a device has at once: give it more, or set "
            "model.stochastic_depth_skips to false"
        )
    return [KeptExamples(parts, examples, count) if count < examples else None for count in kept]
