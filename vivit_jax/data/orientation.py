"""Which way up a picture is shown: the eight orientations that a container's display matrix can ask for."""

import dataclasses

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type


@dataclasses.dataclass(frozen=True)
class Orientation:
    """Rows and columns change places first, then the columns are reversed, then the rows.

    Attributes:
      transposed: rows and columns change places.
      columns_reversed: left and right change places.
      rows_reversed: top and bottom change places.
    """

    transposed: bool = False
    columns_reversed: bool = False
    rows_reversed: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether no rotation alone would do."""
        return self.transposed ^ self.columns_reversed ^ self.rows_reversed

    @property
    def rotated(self) -> bool:
        """Whether mirroring along one axis alone would not do."""
        return self.transposed or (self.columns_reversed and self.rows_reversed)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """An image (h, w, 3) as it is shown: (w, h, 3) if transposed."""
        if self.transposed:
            image = cv2.transpose(image)
        if self.columns_reversed or self.rows_reversed:
            # OpenCV's codes: 1 reverses columns, 0 rows, -1 both.
            image = cv2.flip(image, -1 if self.columns_reversed and self.rows_reversed else int(self.columns_reversed))
        return image


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation nearest to the frame's display matrix, which PyAV's `rotation` tells without its mirroring."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    # A pixel at (x, y) is shown at (a x + c y, b x + d y), but for a shift.
    a, b, _, c, d = np.frombuffer(data, np.int32, 5).tolist()
    return Orientation(True, c < 0, b < 0) if abs(b) > abs(a) else Orientation(False, a < 0, d < 0)
