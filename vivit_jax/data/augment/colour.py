"""Colour jitter and greyscale, as the original's. Functions of a clip, uint8 (t, h, w, 3), that give another of the same shape."""

import dataclasses

import cv2
import numpy as np

BRIGHTNESS = 32 / 255
SATURATION = CONTRAST = 0.4
HUE = 0.2


@dataclasses.dataclass(frozen=True)
class ColourJitter:
    """Brightness, then saturation, contrast and hue, in the original's order. Only what comes out of all four is cut to 0..255.

    Attributes:
      brightness: added to pixels in [0, 1].
      saturation: factor on the saturation, which stays within [0, 1].
      contrast: factor on each channel's distance from its mean over the frame.
      hue: added, in turns of the colour wheel.
    """

    brightness: float
    saturation: float
    contrast: float
    hue: float

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        """A clip in other colours."""
        levels = np.arange(256, dtype=np.float32) / 255 + np.float32(self.brightness)
        result = np.empty_like(clip)
        for frame, target in zip(clip, result, strict=True):
            cv2.multiply(self._frame(cv2.LUT(frame, levels)), (255, 255, 255, 0), target, dtype=cv2.CV_8U)  # rounds and saturates
        return result

    def _frame(self, frame: np.ndarray) -> np.ndarray:
        """A brightened frame, float32 of about [0, 1], through the other steps."""
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)  # of floats: hue in 0..360, saturation in 0..1
        hsv[..., 1] = np.minimum(hsv[..., 1] * np.float32(self.saturation), 1)
        frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)

        shift = (1 - self.contrast) * np.array(cv2.mean(frame)[:3])
        frame = cv2.transform(frame, np.column_stack([self.contrast * np.eye(3), shift]))

        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        hsv[..., 0] += np.float32(360 * (self.hue % 1))
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def random_colour_jitter(generator: np.random.Generator, strength: float) -> ColourJitter:
    """Draws a jitter within the original's ranges times `strength`: brightness 32/255, saturation and contrast 0.6 to 1.4, hue 0.2."""
    brightness, saturation, contrast, hue = strength * generator.uniform(-1, 1, 4)
    return ColourJitter(BRIGHTNESS * brightness, 1 + SATURATION * saturation, 1 + CONTRAST * contrast, HUE * hue)


def greyscale(clip: np.ndarray) -> np.ndarray:
    """The luminance of a clip (ITU-R 601) in all three channels."""
    t, h, w, _ = clip.shape
    grey = cv2.cvtColor(clip.reshape(t * h, w, 3), cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).reshape(clip.shape)
