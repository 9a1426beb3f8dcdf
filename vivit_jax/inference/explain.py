"""Finds the evidence for a class in the clip in the middle of a video, or of a part of it."""

import dataclasses
import functools
import math
import pathlib
from fractions import Fraction

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vivit_jax.data.guard import guarded
from vivit_jax.data.sampling import frames_once, views_of_video
from vivit_jax.data.video.frame_rates import shown_at, tick_count
from vivit_jax.data.video.reader import probe
from vivit_jax.data.windows import middle_clip
from vivit_jax.errors import UserError, unknown_name
from vivit_jax.heads import by_head
from vivit_jax.inference.predict import probabilities_of
from vivit_jax.inference.relevance import Relevance, integrated_gradients, log_odds
from vivit_jax.models.families import family_of
from vivit_jax.weights import Pretrained

PLENTY = math.log(10)  # of a rise in log-odds: the clip multiplies the odds by ten, and heat has its full colour


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The evidence for a class in a video.

    Attributes:
      label: the class.
      probability: what the model gives the class for this one clip.
      relevance: what each token of the clip adds.
      frames: (t',) int64, numbers of the video's frames in the clip; where a short video starts over, the repeats are left out.
      part: (start, end) in seconds of the part of the video whose middle clip it is: `frames` then count from its start; None is the
        whole video.
      rate: frames a second of the part; None for the whole video.
    """

    label: str
    probability: float
    relevance: Relevance
    frames: np.ndarray
    part: tuple[float, float] | None = None
    rate: Fraction | None = None

    def __repr__(self) -> str:
        return f"Explanation({self.label}: {self.probability:.1%}, {self.rise:+.3f} log-odds above a blank clip)"

    @property
    def rise(self) -> float:
        """The evidence of the whole clip: how far its log-odds lie above those of a blank clip."""
        return self.relevance.score - self.relevance.blank

    @property
    def full_colour(self) -> float:
        """The log-odds that a token of full colour stands for; infinite where nothing speaks for the class.

        It is the hottest token's share if the clip multiplies the odds of the class by ten or more. For a clip with less evidence, the
        colours are paler in proportion to its rise in log-odds; a clip that as a whole speaks against the class has none.
        """
        hottest = float(self.relevance.tokens.max())
        strength = min(1.0, self.rise / PLENTY)
        return hottest / strength if hottest > 0 and strength > 0 else math.inf

    @property
    def colours(self) -> str:
        """How much evidence there is, and so what the colours mean, in one line."""
        if math.isinf(self.full_colour):
            return f"the clip as a whole does not speak for {self.label}: the overlay has no colour"
        share = min(1.0, self.rise / PLENTY)
        strong = "full colour" if share == 1 else f"at most {share:.0%} of full colour, for there is little evidence"
        return f"the hottest token has {strong}; full colour stands for {self.full_colour:.2g} of log-odds a token"


def explain(
    pretrained: Pretrained,
    video: str | pathlib.Path,
    *,
    label: str | None = None,
    max_steps: int = 64,
    part: tuple[float, float] | None = None,
) -> Explanation:
    """Attributes a class to the parts of the middle clip of a video, or of a part of it.

    Examples:
      >>> explanation = explain(pretrained, "clip.mp4")
      >>> explanation.label, explanation.relevance.tokens

    Args:
      pretrained: a model with one or several heads.
      video: a video file.
      label: the class; None is the most probable one (of the first head, if there are several).
      max_steps: the most gradients to compute; each costs about three forward passes.
      part: (start, end) in seconds from the first frame; None is the whole video.

    Raises:
      UserError: for a video that cannot be read, a class the model does not have, or a model without a head.
    """
    preprocess = pretrained.preprocess
    if part is None:
        pixels = guarded(functools.partial(views_of_video, preprocess=preprocess, views=(1, 1)), video)[0]
        info = probe(video)
        times, rate = info.times, info.fps
    else:
        pixels, times, rate = guarded(functools.partial(middle_clip, start=part[0], end=part[1], preprocess=preprocess), video)
    frames = shown_at(frames_once(tick_count(times, rate), preprocess, float(rate)), times, rate)
    explanation = explain_clip(pretrained, pixels, frames, label=label, max_steps=max_steps)
    return dataclasses.replace(explanation, part=part, rate=rate if part else None)


def explain_clip(
    pretrained: Pretrained, pixels: UInt8[np.ndarray, "t h w 3"], frames: np.ndarray, *, label: str | None = None, max_steps: int = 64
) -> Explanation:
    """`explain` for a clip that is already decoded, as `views_of_video` gives it; `frames` are those of the `Explanation`.

    Nothing is compiled anew for another clip or another class of the same model.

    Raises:
      UserError: for a class the model does not have, or a model without a head.
    """
    clip = pretrained.preprocess.normalise(jnp.asarray(pixels))
    variables = jax.device_put(pretrained.variables)
    head, names = _head(pretrained, label)
    of_head = _LogitsOfHead(pretrained.model, head)
    logits = np.asarray(of_head(clip[None], variables)[0], np.float32)
    probabilities = probabilities_of(pretrained, {head: logits})[head]
    number = int(logits.argmax()) if label is None else names.index(label)
    score = _LogitOfClass(of_head) if pretrained.multi_label else _LogOddsOfClass(of_head)
    config = pretrained.model.config
    cells = family_of(config).cells(config)
    relevance = integrated_gradients(score, clip, cells, arguments=(variables, number), max_steps=max_steps)
    return Explanation(names[number], float(probabilities[number]), relevance, frames)


@dataclasses.dataclass(frozen=True)
class _LogitsOfHead:
    """The logits of a model's head for clips. Two for the same model and head compare equal, so that JAX compiles them once."""

    model: nn.Module
    head: str

    @functools.partial(jax.jit, static_argnums=0)
    def __call__(self, clips: Float[Array, "b t h w 3"], variables: dict) -> Float[Array, "b classes"]:
        return by_head(self.model.apply(variables, clips))[self.head]


@dataclasses.dataclass(frozen=True)
class _LogitOfClass:
    """The score where a video may have several classes: with a sigmoid the logit is the log-odds."""

    logits: _LogitsOfHead

    def __call__(self, clips: Float[Array, "b t h w 3"], variables: dict, number: Int[Array, ""]) -> Float[Array, " b"]:
        return self.logits(clips, variables)[:, number]


@dataclasses.dataclass(frozen=True)
class _LogOddsOfClass:
    """The score where a video has one class."""

    logits: _LogitsOfHead

    def __call__(self, clips: Float[Array, "b t h w 3"], variables: dict, number: Int[Array, ""]) -> Float[Array, " b"]:
        return log_odds(self.logits(clips, variables), number)


def _head(pretrained: Pretrained, label: str | None) -> tuple[str, tuple[str, ...]]:
    """The head that has the class, and the names of its classes."""
    labels = by_head(pretrained.labels)
    if not pretrained.model.config.heads:
        raise UserError("the model has no head (num_classes is not set), so it has no class to explain: fit one by `vivit probe`")
    heads = [(head, tuple(names)) for head, names in labels.items() if label is None or label in names]
    if not heads:
        raise unknown_name("--label", label, sorted(set().union(*labels.values())))
    return heads[0]
