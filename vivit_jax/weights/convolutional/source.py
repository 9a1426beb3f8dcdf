"""A CNN in a file of torch's, as the folder of its family recognises it."""

import dataclasses

from vivit_jax.weights.config import Triple
from vivit_jax.weights.tensor_files import Tensors


@dataclasses.dataclass(frozen=True)
class Source:
    """A CNN in a file, whose tensors are not read yet.

    Attributes:
      name: the file and its format, for reports and errors.
      architectures: those of our architectures that it can become, the most usual first.
      width: channels of its first stage.
      classes: classes of its head; None where it has none.
      mean: the mean of each RGB channel that it was trained with, for pixels in [0, 1].
      std: the standard deviation of each RGB channel that it was trained with, for pixels in [0, 1].
      pixels_from: where mean and std come from.
      tensors: under the names that its library gives them.
      is_image: whether it is an image model.
    """

    name: str
    architectures: tuple[str, ...]
    width: int
    classes: int | None
    mean: Triple
    std: Triple
    pixels_from: str
    tensors: Tensors
    is_image: bool = False
