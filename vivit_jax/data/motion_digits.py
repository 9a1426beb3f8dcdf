"""The embedded data set: scikit-learn's real handwritten digits in motion, where only the order of frames tells the class.

Eight classes, four motions and their reverses. What a frame shows is a state (x, y, angle, log-scale); the first three live on circles
and the last is a sawtooth, and each is uniform over its range at every frame of every class, moving or not. So

- one frame has exactly the same distribution in all classes, and tells nothing;
- a class played backwards is exactly its reverse class, so frames without their order cannot tell a motion from its reverse.

Digit, place, size, angle, speed, colour and background are random, and the three splits share no digit image. A video is a function of
(`SEED`, split, index) alone.
"""

import dataclasses
import functools
import math

import cv2
import numpy as np

from vivit_jax.errors import unknown_name

SEED = 0
SIZE = 48  # pixels of a side; also the circumference of the torus that the digit moves on
FRAMES = 32
FPS = 16
SPLITS = {"train": 4096, "val": 512, "test": 1024}
DIGIT_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}

AXES = ("x", "y", "angle", "log_scale")
# Each motion as the axis that moves and its direction; a row and the next are each other's reverse. The image's y axis points down.
MOTIONS = {
    "move_right": ("x", +1),
    "move_left": ("x", -1),
    "move_down": ("y", +1),
    "move_up": ("y", -1),
    "rotate_clockwise": ("angle", +1),
    "rotate_counterclockwise": ("angle", -1),
    "grow": ("log_scale", +1),
    "shrink": ("log_scale", -1),
}
LABELS = tuple(MOTIONS)

SIDES = (13.0, 30.0)  # smallest and largest side of a digit in pixels: its diagonal stays below SIZE
RANGES = {
    "x": (0.0, float(SIZE)),
    "y": (0.0, float(SIZE)),
    "angle": (0.0, 2 * math.pi),
    "log_scale": (math.log(SIDES[0]), math.log(SIDES[1])),
}
PERIODS = (20.0, 40.0)  # frames for one whole range: at stride 2 a step is at most a tenth of a turn, far from aliasing

LUMA = np.array([0.299, 0.587, 0.114])
SPRITE = 24  # pixels of a side that an 8x8 digit is enlarged to, once


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that is random in a video but its motion; drawn before the motion is looked at.

    Attributes:
      digit: opacity, float32 (SPRITE, SPRITE) in [0, 1].
      start: the state of the first frame, by axis.
      period: frames in which the moving axis runs through its whole range.
      colour: RGB of the digit, 0..255.
      background: float32 (SIZE, SIZE, 3), 0..255.
    """

    digit: np.ndarray
    start: dict[str, float]
    period: float
    colour: np.ndarray
    background: np.ndarray


def render(split: str, index: int) -> tuple[np.ndarray, int]:
    """One video of the data set.

    Args:
      split: `train`, `val` or `test`.
      index: 0 <= index < SPLITS[split] in the data set as made; larger ones are further videos of the same distribution.

    Returns:
      The video, uint8 (t, h, w, 3) RGB, and the index of its class in `LABELS`. Classes take turns, so that any slice is balanced.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    generator = np.random.default_rng((SEED, tuple(SPLITS).index(split), index))
    label = index % len(LABELS)
    return draw(random_scene(split, generator), LABELS[label]), label


def random_scene(split: str, generator: np.random.Generator) -> Scene:
    """Draws everything but the motion."""
    digits = split_digits(split)
    colour, background = _random_colours(generator)
    return Scene(
        digit=digits[generator.integers(len(digits))],
        start={axis: generator.uniform(*RANGES[axis]) for axis in AXES},
        period=generator.uniform(*PERIODS),
        colour=colour,
        background=background,
    )


def states(scene: Scene, motion: str) -> dict[str, np.ndarray]:
    """The state at each frame, by axis, float64 (FRAMES,): one axis runs through its range and wraps, the others stand still."""
    moving, direction = MOTIONS[motion]
    result = {axis: np.full(FRAMES, value) for axis, value in scene.start.items()}
    low, high = RANGES[moving]
    phase = (scene.start[moving] - low) / (high - low) + direction * np.arange(FRAMES) / scene.period
    result[moving] = low + (high - low) * (phase % 1.0)
    return result


def draw(scene: Scene, motion: str) -> np.ndarray:
    """The scene with its digit in `motion`, uint8 (FRAMES, SIZE, SIZE, 3)."""
    state = states(scene, motion)
    opacity = np.stack([_place(scene.digit, *(float(state[axis][t]) for axis in AXES)) for t in range(FRAMES)])[..., None]
    frames = opacity * (scene.colour - scene.background)
    frames += scene.background
    frames += 0.5
    return frames.astype(np.uint8)


@functools.cache
def split_digits(split: str) -> np.ndarray:
    """The digits of one split, enlarged to opacities: float32 (n, SPRITE, SPRITE) in [0, 1]; no image is in two splits."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.float32) / 16.0
    order = np.random.default_rng(SEED).permutation(len(images))
    bounds = np.round(np.cumsum([0.0, *DIGIT_SHARES.values()]) * len(images)).astype(int)
    number = tuple(SPLITS).index(split)
    chosen = images[order[bounds[number] : bounds[number + 1]]]
    return np.stack([np.clip(cv2.resize(image, (SPRITE, SPRITE), interpolation=cv2.INTER_CUBIC), 0, 1) for image in chosen])


def _place(digit: np.ndarray, x: float, y: float, angle: float, log_scale: float) -> np.ndarray:
    """The digit's opacity on the torus, float32 (SIZE, SIZE): drawn in the middle at the sub-pixel offset, then rolled into place."""
    scale = math.exp(log_scale) / SPRITE
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    middle, centre = (SPRITE - 1) / 2, SIZE // 2
    whole_x, whole_y = math.floor(x), math.floor(y)
    matrix = np.array(
        [
            [cos, -sin, centre + (x - whole_x) - middle * (cos - sin)],
            [sin, cos, centre + (y - whole_y) - middle * (sin + cos)],
        ]
    )
    opacity = cv2.warpAffine(digit, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    down, right = (whole_y - centre) % SIZE, (whole_x - centre) % SIZE
    opacity = np.concatenate((opacity[-down:], opacity[:-down]))  # `np.roll`, at a third of its time
    return np.concatenate((opacity[:, -right:], opacity[:, :-right]), axis=1)


def _random_colours(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright colour for the digit and a dark, still background of gradient and soft texture.

    The digit is always the brighter, because a random polarity quadruples the clips that a model needs before it sees any motion.
    """
    colour = generator.uniform(150, 255, 3)
    colour[generator.integers(3)] = generator.uniform(0, 255)
    base = generator.uniform(0, 90, 3)
    direction = generator.uniform(0, 2 * math.pi)
    ramp = np.linspace(-0.5, 0.5, SIZE)
    gradient = math.cos(direction) * ramp[None, :] + math.sin(direction) * ramp[:, None]
    texture = cv2.resize(generator.normal(size=(6, 6, 3)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    background = base + gradient[..., None] * generator.uniform(-50, 50, 3) + texture * generator.uniform(0, 14)
    return colour.astype(np.float32), np.clip(background, 0, 255).astype(np.float32)
