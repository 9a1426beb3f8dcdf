"""PatchDropout (Liu et al. 2023): training encodes some of a clip's tokens, drawn at each step, and evaluation all of them."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.kernels.subsets import draw, subset_of, take


@dataclasses.dataclass(frozen=True)
class PatchDropout:
    """The choice of the tokens that are kept: as many for every clip, so that all shapes are known beforehand.

    A sequence holds `own` tokens that are always kept, then its places `repeats` times.

    Attributes:
      places: the places among which is drawn.
      kept: how many of them are kept.
      repeats: the times that lie one after the other in a sequence and keep the same places.
      alike: whether all sequences of a clip keep the same places.
      own: the cls tokens of a sequence.
    """

    places: int
    kept: int
    repeats: int = 1
    alike: bool = False
    own: int = 0

    def __call__(self, key: Array, tokens: Float[Array, "b *t n d"]) -> Float[Array, "b *t m d"]:
        """The tokens that are kept, in their order."""
        batch, *sequences = tokens.shape[:-2]
        sequences = [1] * len(sequences) if self.alike else sequences
        chosen = jnp.tile(draw(key, (batch, *sequences, self.places), self.kept), self.repeats)
        chosen = jnp.pad(chosen, [(0, 0)] * (chosen.ndim - 1) + [(self.own, 0)], constant_values=True)
        return take(tokens, subset_of(chosen, self.own + self.repeats * self.kept))


def count_kept(share_dropped: float, places: int, *, repeats: int = 1, own: int = 0) -> int:
    """How many of some places are kept: the nearest number, at least 1.

    It is one more where that makes the sequence even: cuDNN's backward pass refuses odd lengths, and padding costs more than a token.
    """
    kept = max(round((1 - share_dropped) * places), 1)
    odd, next_odd = ((own + repeats * count) % 2 for count in (kept, kept + 1))
    return kept + 1 if odd and not next_odd and kept + 1 < places else kept
