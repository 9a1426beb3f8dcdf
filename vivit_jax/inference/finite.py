"""Refuses what a model gives where it is NaN or infinity: no score, feature or prediction could be made of it."""

from collections.abc import Callable

import numpy as np

from vivit_jax.errors import UserError

AT_FAULT = "its weights or its dtype are at fault"


def check_outputs(values: np.ndarray, name_of: Callable[[int], str], *, so: str = "") -> None:
    """Refuses outputs that are not all finite.

    Args:
      values: the outputs of n videos, (n, ...).
      name_of: a video's name from its row.
      so: what follows from that, at the end of the message.

    Raises:
      UserError: naming the first video with NaN or infinity.
    """
    wrong = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(wrong):
        first = name_of(int(wrong[0]))
        raise UserError(f"the model gives NaN or infinity for {len(wrong)} of {len(values)} videos, the first is {first}: {AT_FAULT}{so}")


def not_finite(video: str | None = None) -> str:
    """The message about one video whose outputs are not finite; without its name where `video` is None."""
    return f"{f'{video}: ' if video else ''}the model gives NaN or infinity for this video: {AT_FAULT}"
