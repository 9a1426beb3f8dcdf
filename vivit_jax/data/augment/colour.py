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
        result = np.empty_like(clip)
        # Two frames that every step writes to in turn: fresh ones, which come page by page, would take as long as the arithmetic.
        one, two = np.empty((2, *clip.shape[1:]), np.float32)
        for frame, target in zip(clip, result, strict=True):
            cv2.addWeighted(frame, 1 / 255, frame, 0, self.brightness, one, cv2.CV_32F)
            self._saturate(one, two)
            self._contrast(two, one)
            self._turn(one, two)
            cv2.addWeighted(two, 255, two, 0, 0, target, cv2.CV_8U)  # rounds, and cuts to 0..255
        return result

    def _saturate(self, frame: np.ndarray, out: np.ndarray) -> None:
        cv2.cvtColor(frame, cv2.COLOR_RGB2HSV, out)  # of floats: hue in 0..360, saturation in 0..1
        hsv = cv2.transform(out, np.diag([1, self.saturation, 1]), frame)
        cv2.cvtColor(cv2.min(hsv, (np.inf, 1, np.inf, np.inf), hsv), cv2.COLOR_HSV2RGB, out)

    def _contrast(self, frame: np.ndarray, out: np.ndarray) -> None:
        shift = (1 - self.contrast) * np.array(cv2.mean(frame)[:3])
        cv2.transform(frame, np.column_stack([self.contrast * np.eye(3), shift]), out)

    def _turn(self, frame: np.ndarray, out: np.ndarray) -> None:
        cv2.cvtColor(frame, cv2.COLOR_RGB2HSV, out)
        hsv = cv2.transform(out, np.column_stack([np.eye(3), [360 * (self.hue % 1), 0, 0]]), frame)
        cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, out)


def random_colour_jitter(generator: np.random.Generator, strength: float) -> ColourJitter:
    """Draws a jitter within the original's ranges times `strength`: brightness 32/255, saturation and contrast 0.6 to 1.4, hue 0.2."""
    brightness, saturation, contrast, hue = strength * generator.uniform(-1, 1, 4)
    return ColourJitter(BRIGHTNESS * brightness, 1 + SATURATION * saturation, 1 + CONTRAST * contrast, HUE * hue)


def greyscale(clip: np.ndarray) -> np.ndarray:
    """The luminance of a clip (ITU-R 601) in all three channels."""
    t, h, w, _ = clip.shape
    grey = cv2.cvtColor(clip.reshape(t * h, w, 3), cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).reshape(clip.shape)
