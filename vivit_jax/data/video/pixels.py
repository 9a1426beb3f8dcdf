"""Turns decoded frames into RGB, as a player would show them.

- Colours follow the frame's own matrix and range; transparency is laid over black.
- Of an interlaced frame, whose two fields were taken at different moments, one field is kept.
- Pixels are made square, pictures upright, and all frames of a video one size.
"""

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from vivit_jax.data.video.geometry import resize
from vivit_jax.data.video.orientation import UPRIGHT, Orientation, orientation_of
from vivit_jax.data.video.tone_mapping import is_high_dynamic_range, to_standard_range

# FFmpeg's numbers. OpenCV's planar conversion is BT.601 (also what FFmpeg takes an untagged video for) in limited range.
BT601 = (2, 5, 6)  # unspecified, BT.470BG, SMPTE 170M
LIMITED_RANGE, FULL_RANGE = 1, 2
LEVELS = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)  # of limited range in full range

EVERYTHING = slice(None)


class RgbReader:
    """Reads the frames of one video, or parts of them.

    Attributes:
      aspect: width over height of its pixels.
      size: (height, width) that all frames are given in: that of the first one read. A later frame of another size is scaled to it.
      rescaled: whether there was such a frame.
      blended: whether a frame was transparent anywhere.
    """

    def __init__(self, aspect: float, *, stored: bool = False) -> None:
        """`stored` says that `Encoder` wrote the video: its frames are upright and not interlaced."""
        self.aspect = aspect
        self.size: tuple[int, int] | None = None
        self.rescaled = self.blended = False
        self._stored = stored
        self._reformatter = VideoReformatter()

    def size_of(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(height, width) of a frame as `read` would give it if it were the first."""
        height, width = frame.height, max(1, round(frame.width * self.aspect))
        return (width, height) if self._orientation(frame).swapped else (height, width)

    def changes(self, frame: av.VideoFrame) -> tuple[str, ...]:
        """What `read` changes in a frame besides its colours, in words."""
        orientation = self._orientation(frame)
        done = {
            "rotated": orientation.is_turn,
            "mirrored": orientation.is_mirror,
            "made square in pixels": self.aspect != 1,
            "deinterlaced": self._is_interlaced(frame),
            "tone-mapped to standard dynamic range": is_high_dynamic_range(frame),
        }
        return tuple(change for change, happens in done.items() if happens)

    def read(self, frame: av.VideoFrame, rows: slice = EVERYTHING, columns: slice = EVERYTHING) -> np.ndarray:
        """The rows and columns of a frame, or all of it, as RGB uint8 (h, w, 3)."""
        size = self.size_of(frame)
        self.size = self.size or size
        as_it_lies = self.aspect == 1 and self._orientation(frame) == UPRIGHT and not self._is_interlaced(frame)
        if as_it_lies and size == self.size and _is_plain(frame):
            return _plain_part(frame, rows, columns)
        image = self._whole(frame)
        if size != self.size:
            image, self.rescaled = resize(image, *self.size), True
        return image[rows, columns]

    def _whole(self, frame: av.VideoFrame) -> np.ndarray:
        is_interlaced = self._is_interlaced(frame)  # then each field has colours of its own, which FFmpeg keeps apart and OpenCV does not
        image = _plain_part(frame, EVERYTHING, EVERYTHING) if _is_plain(frame) and not is_interlaced else self._reformatted(frame)
        if is_interlaced:
            image = _one_field(image)
        if self.aspect != 1:
            image = cv2.resize(image, (max(1, round(image.shape[1] * self.aspect)), image.shape[0]), interpolation=cv2.INTER_LINEAR)
        return self._orientation(frame).apply(image)

    def _reformatted(self, frame: av.VideoFrame) -> np.ndarray:
        if is_high_dynamic_range(frame):
            return to_standard_range(frame)
        image = self._opaque(frame)
        # FFmpeg's scaler takes all grey for full range, but HEVC and AV1 without colour are as a rule in limited range.
        return LEVELS[image] if frame.color_range == LIMITED_RANGE and frame.format.name.startswith("gray") else image

    def _opaque(self, frame: av.VideoFrame) -> np.ndarray:
        if any(component.is_alpha for component in frame.format.components):
            rgba = self._reformatter.reformat(frame, format="rgba").to_ndarray()
            if rgba[..., 3].min() == 255:
                return np.ascontiguousarray(rgba[..., :3])
            self.blended = True
            return (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] // 255).astype(np.uint8)
        return self._reformatter.reformat(frame, format="rgb24").to_ndarray()

    def _orientation(self, frame: av.VideoFrame) -> Orientation:
        return UPRIGHT if self._stored else orientation_of(frame)

    def _is_interlaced(self, frame: av.VideoFrame) -> bool:
        return not self._stored and frame.interlaced_frame and frame.height >= 4


def _one_field(image: np.ndarray) -> np.ndarray:
    """One field of an interlaced frame, stretched to its height. The other was taken a moment later: both together look like a comb."""
    return cv2.resize(image[::2], (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)


def _is_plain(frame: av.VideoFrame) -> bool:
    """Whether OpenCV's fast conversion applies."""
    even = frame.height % 2 == frame.width % 2 == 0
    ordinary = frame.format.name == "yuv420p" and frame.colorspace in BT601 and frame.color_range != FULL_RANGE
    return ordinary and even and not is_high_dynamic_range(frame)


def _plain_part(frame: av.VideoFrame, rows: slice, columns: slice) -> np.ndarray:
    """Part of a yuv420p frame as RGB. Four pixels share a colour, so an even part around it is converted and then cut."""
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
