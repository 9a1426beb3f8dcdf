"""Decoded frames to RGB: in their own colour matrix and range, alpha over black, square pixels, upright."""

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from vivit_jax.data.orientation import UPRIGHT, orientation_of

# FFmpeg's numbers. OpenCV's planar conversion is BT.601 (also what FFmpeg takes an untagged video for) in limited range.
BT601 = (2, 5, 6)  # unspecified, BT.470BG, SMPTE 170M
FULL_RANGE = 2

EVERYTHING = slice(None)


class RgbReader:
    """Reads the frames of one video, or parts of them.

    Attributes:
      aspect: width over height of its pixels.
    """

    def __init__(self, aspect: float) -> None:
        self.aspect = aspect
        self._reformatter = VideoReformatter()

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(height, width) of a frame as `read` gives it."""
        height, width = frame.height, max(1, round(frame.width * self.aspect))
        return (width, height) if orientation_of(frame).transposed else (height, width)

    def read(self, frame: av.VideoFrame, rows: slice = EVERYTHING, columns: slice = EVERYTHING) -> np.ndarray:
        """The rows and columns of a frame, or all of it, as RGB uint8 (h, w, 3)."""
        if self.aspect == 1 and _is_plain(frame) and orientation_of(frame) == UPRIGHT:
            return _plain_part(frame, rows, columns)
        return self._whole(frame)[rows, columns]

    def _whole(self, frame: av.VideoFrame) -> np.ndarray:
        image = _plain_part(frame, EVERYTHING, EVERYTHING) if _is_plain(frame) else self._reformatted(frame)
        if self.aspect != 1:
            image = cv2.resize(image, (max(1, round(image.shape[1] * self.aspect)), image.shape[0]), interpolation=cv2.INTER_LINEAR)
        return orientation_of(frame).apply(image)

    def _reformatted(self, frame: av.VideoFrame) -> np.ndarray:
        if any(component.is_alpha for component in frame.format.components):
            rgba = self._reformatter.reformat(frame, format="rgba").to_ndarray()
            return (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] // 255).astype(np.uint8)
        return self._reformatter.reformat(frame, format="rgb24").to_ndarray()


def _is_plain(frame: av.VideoFrame) -> bool:
    """Whether OpenCV's fast conversion applies."""
    even = frame.height % 2 == frame.width % 2 == 0
    return frame.format.name == "yuv420p" and even and frame.colorspace in BT601 and frame.color_range != FULL_RANGE


def _plain_part(frame: av.VideoFrame, rows: slice, columns: slice) -> np.ndarray:
    """Part of a yuv420p frame. Four pixels share a colour, so the even part around it is what is converted: each pixel stays the same."""
    (top, bottom), (left, right) = _even(rows, frame.height), _even(columns, frame.width)
    height, width = bottom - top, right - left
    planes = np.empty((height * 3 // 2, width), np.uint8)
    luma, *chroma = (np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes)
    planes[:height] = luma[top:bottom, left:right]
    for source, target in zip(chroma, planes[height:].reshape(2, height // 2, width // 2), strict=True):
        target[:] = source[top // 2 : bottom // 2, left // 2 : right // 2]
    image = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    start, stop, _ = rows.indices(frame.height)
    first, last, _ = columns.indices(frame.width)
    return image[start - top : stop - top, first - left : last - left]


def _even(part: slice, extent: int) -> tuple[int, int]:
    """Start and stop of a part of an even extent, widened to even numbers."""
    start, stop, _ = part.indices(extent)
    return start - start % 2, stop + stop % 2
