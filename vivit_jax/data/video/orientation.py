"""Rotates and mirrors frames as the display matrix in their container says, and as players do."""

import dataclasses

import av
import numpy as np
from av.sidedata.sidedata import Type


@dataclasses.dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a picture can lie: rows and columns swapped first, then left and right, then top and bottom.

    Attributes:
      swapped: rows become columns.
      mirrored_horizontally: left and right change places, after the swap.
      mirrored_vertically: top and bottom change places, after the swap.
    """

    swapped: bool = False
    mirrored_horizontally: bool = False
    mirrored_vertically: bool = False

    @property
    def is_mirror(self) -> bool:
        """Whether the stored picture is a mirror image, which no rotation alone brings upright."""
        return self.swapped ^ self.mirrored_horizontally ^ self.mirrored_vertically

    @property
    def is_turn(self) -> bool:
        """Whether the picture is rotated, by 90, 180 or 270 degrees, apart from any mirroring."""
        return self.swapped or (self.mirrored_horizontally and self.mirrored_vertically)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The picture (h, w, 3) as it is shown."""
        image = image.swapaxes(0, 1) if self.swapped else image
        image = image[:, ::-1] if self.mirrored_horizontally else image
        image = image[::-1] if self.mirrored_vertically else image
        return np.ascontiguousarray(image)


UPRIGHT = Orientation()


def _unnamed(cls: type[Type], value: int) -> Type:
    """A kind of side data that FFmpeg has and PyAV has no name for."""
    kind = object.__new__(cls)
    kind._name_, kind._value_ = f"UNNAMED_{value}", value
    return kind


# PyAV refuses all side data of a frame for one kind that it does not know, such as the Exif tags of a photo or a 3-D display's size.
Type._missing_ = classmethod(_unnamed)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation of a decoded frame; a matrix that shears or turns by another angle counts as the nearest of the eight."""
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return UPRIGHT
    # A pixel (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
