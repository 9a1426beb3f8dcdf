"""`vivit_jax.from_pretrained`: a model with methods that take videos.

The room `weights` knows no videos, so `weights.Pretrained` gets them here.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from vivit_jax import weights
from vivit_jax.inference.predict import Prediction, predict
from vivit_jax.inference.windows import predict_windows
from vivit_jax.preprocess import Views


class Classifier(weights.Pretrained):
    """A model with its weights, and `predict` and `predict_windows`."""

    def predict(
        self,
        video: str | os.PathLike | bytes | UInt8[np.ndarray, "t h w 3"] | Sequence[str | os.PathLike],
        top_k: int = 5,
        views: Views = (4, 3),
    ) -> Prediction | list[Prediction]:
        """The most probable classes of a video, or of each of several.

        Args:
          video: a video file, or its bytes; or frames, uint8 (t, h, w, 3), RGB; or a list of files.
          top_k: how many classes; all of them if the model has fewer.
          views: (temporal clips, spatial crops) of the video, whose logits are averaged before they become probabilities, or whose
            probabilities are, as the model says.

        Returns:
          (label, probability) pairs, the most probable first; for several heads, these by head. The probabilities of all classes sum to 1,
          unless the model allows several classes for a video. For a list of files, a list of these.

        Raises:
          UserError: for a model without a head, frames of another shape or type, and a video that cannot be read, which it names.
        """
        return predict(self, video, top_k=top_k, views=views)

    def predict_windows(
        self, video: str | os.PathLike, window: float = 2.0, every: float | None = None, top_k: int = 5, views: Views | None = None
    ) -> Iterator[tuple[float, float, Prediction]]:
        """The most probable classes in each window of a video of any length, which is decoded once.

        >>> for start, end, ranking in pretrained.predict_windows("film.mp4", window=2.0, every=1.0):
        ...     print(start, end, ranking[0])

        Args:
          video: a video file, or `-` for a video on standard input.
          window: seconds of a window.
          every: seconds from the start of one window to that of the next; None is `window`.
          top_k: how many classes; all of them if the model has fewer.
          views: (temporal clips, spatial crops) of each window whose logits are averaged; None is as many clips as cover the window, and
            the centre crop.

        Yields:
          (start, end, prediction) of each window, in seconds from the first frame; the prediction is as `predict` gives it.

        Raises:
          UserError: for a model without a head; and where a video cannot be read on, after the windows before that place.
        """
        return predict_windows(self, video, window, every, top_k=top_k, views=views)


def from_pretrained(source: str | os.PathLike, **options: object) -> Classifier:
    """Loads a model with its weights, from a model directory or any other source of a ViViT.

    Examples:
      >>> pretrained = from_pretrained("runs/motion_digits/model")
      >>> pretrained = from_pretrained("hf://google/vivit-b-16x2-kinetics400")
      >>> pretrained = from_pretrained("checkpoint_200000", clip=(32, 224, 224), attention_order="time_space")

    Args:
      source: a file, a directory or `hf://org/name`.
      **options: what the source's files do not tell: fields of the model's config (such as `clip`, `factorisation`, `attention_order`,
        `pool`) and of `InitConfig` (such as `num_heads`, `mean`, `std`).

    Raises:
      UserError: if the source cannot be read, or is an image model.
    """
    return Classifier(**vars(weights.from_pretrained(source, **options)))
