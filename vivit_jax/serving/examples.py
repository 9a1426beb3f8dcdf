"""Three clips to try without a file of one's own, drawn like those of motion_digits: a digit that changes its motion once or twice."""

import dataclasses
import functools
import math

import cv2
import numpy as np

from vivit_jax.data.motion_digits import AXES, FPS, FRAMES, SIZE, draw, random_scene, states
from vivit_jax.data.video.reader import encode

IN_VIEW = {"x": SIZE / 2, "y": SIZE / 2, "log_scale": math.log(26.0)}  # where the digit begins: large, in the middle
SCALE = 5  # the data set's 48 pixels are small to look at


@dataclasses.dataclass(frozen=True)
class Example:
    """An example: what its page says, its motions one after the other, and the seed of its digit and colours."""

    title: str
    motions: tuple[str, ...]
    seed: int


EXAMPLES = {
    "right": Example("moves right", ("move_right", "move_right"), 10),
    "turns": Example("turns, and turns back", ("rotate_clockwise", "rotate_counterclockwise"), 20),
    "up_and_away": Example("rises, grows, shrinks", ("move_up", "grow", "shrink"), 7),
}


@functools.cache
def example(name: str) -> bytes:
    """An example's video, as an mp4. Each motion takes two seconds and begins where the last one ended.

    Raises:
      KeyError: if there is no example of that name.
    """
    scene = random_scene("test", np.random.default_rng(EXAMPLES[name].seed))
    scene = dataclasses.replace(scene, start=scene.start | IN_VIEW)
    parts = []
    for motion in EXAMPLES[name].motions:
        parts.append(draw(scene, motion))
        state = states(scene, motion)
        scene = dataclasses.replace(scene, start={axis: float(state[axis][FRAMES - 1]) for axis in AXES})
    frames = np.concatenate(parts)
    size = (SCALE * frames.shape[2], SCALE * frames.shape[1])
    return encode([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames], FPS)
