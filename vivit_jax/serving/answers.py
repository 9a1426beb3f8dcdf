"""What models say of an upload, as plain values for JSON."""

import base64
import io
import math
import time

import jax.numpy as jnp
import numpy as np
from PIL import Image

from vivit_jax.data.sampling import evaluation_clips, frames_once
from vivit_jax.data.video.reader import VideoInfo
from vivit_jax.heads import by_head
from vivit_jax.inference.explain import explain_clip
from vivit_jax.inference.outputs import Decode, logits_of_views
from vivit_jax.inference.predict import plain, predict_decoded
from vivit_jax.preprocess import Preprocess, Views
from vivit_jax.serving.limits import ServingLimits
from vivit_jax.serving.models import ServedModel, models_for
from vivit_jax.serving.questions import Question
from vivit_jax.serving.reading import Reader, Upload
from vivit_jax.weights import Pretrained

LOSSLESS_PIXELS = 96  # a side up to which a clip's frames are shown as they are; larger ones as JPEG
LARGEST_SHOWN = 256  # pixels of a side; larger frames are shown smaller
LARGEST_SHEET = 1 << 22  # pixels of all frames of a clip together; those of a longer clip are shown smaller still
CURVES = 3  # classes whose score is drawn along the video


def answer(models: list[ServedModel], reader: Reader, upload: Upload, question: Question, limits: ServingLimits) -> dict:
    """What the models say of an upload.

    Raises:
      UserError: for a file that cannot be read.
    """
    reading = reader.reading(upload)
    info = reading.probe()
    return {
        "video": {
            "name": upload.name,
            "frames": info.frames,
            "seconds": _rounded(info.seconds),
            "width": info.width,
            "height": info.height,
        },
        "views": list(question.views),
        "results": [_of_model(model, reading.decode, info, question, limits) for model in models_for(models, question)],
    }


def warm_up(models: list[ServedModel], views: Views) -> None:
    """Compiles what the first request would wait for, on clips of noise."""
    for model in models:
        predict_decoded(model.pretrained, _noise, top_k=1, views=views)
        clip = model.pretrained.preprocess
        explain_clip(model.pretrained, _noise(range(1), clip, (1, 1))[0], np.arange(clip.frames), max_steps=1)


def _noise(group: range, preprocess: Preprocess, views: Views) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (len(group), preprocess.frames, *preprocess.crop, 3), np.uint8)


def _of_model(model: ServedModel, decode: Decode, info: VideoInfo, question: Question, limits: ServingLimits) -> dict:
    started = time.monotonic()
    prediction = predict_decoded(model.pretrained, decode, top_k=question.top_k, views=question.views)
    said = {"model": model.name, "predictions": plain(prediction)}
    if question.details:
        known = any(question.label in names for names in by_head(model.pretrained.labels).values())
        label = question.label if known else next(iter(by_head(prediction).values()))[0][0]
        said["clip"], said["evidence"] = _evidence(model.pretrained, decode, info, label, limits)
        said["along"] = _along(model.pretrained, decode, info, limits)
    return said | {"seconds": round(time.monotonic() - started, 3)}


def _evidence(pretrained: Pretrained, decode: Decode, info: VideoInfo, label: str, limits: ServingLimits) -> tuple[dict, dict]:
    """The clip in the video's middle as the model sees it, and what each of its tokens adds to a class's log-odds."""
    preprocess = pretrained.preprocess
    pixels = decode(range(1), preprocess, (1, 1))[0]
    frames = info.shown_at(frames_once(info.ticks, preprocess, float(info.fps)))
    explanation = explain_clip(pretrained, pixels, frames, label=label, max_steps=limits.gradients)
    relevance = explanation.relevance
    clip = picture(pixels[: len(frames)]) | {"times": [_rounded(info.times[number]) for number in frames]}
    evidence = {
        "label": explanation.label,
        "probability": explanation.probability,
        "score": _rounded(relevance.score),
        "blank": _rounded(relevance.blank),
        "full_colour": _rounded(explanation.full_colour) if math.isfinite(explanation.full_colour) else None,
        "times": relevance.times.tolist(),
        "shape": list(relevance.tokens.shape),
        "tokens": [_rounded(value) for value in relevance.tokens.ravel()],
    }
    return clip, evidence


def _along(pretrained: Pretrained, decode: Decode, info: VideoInfo, limits: ServingLimits) -> dict | None:
    """The probabilities of the first head's foremost classes, at clips spread evenly over the video; None where each spans all of it."""
    preprocess = pretrained.preprocess
    clips = info.shown_at(evaluation_clips(limits.windows, preprocess, info.ticks, float(info.fps)))
    if preprocess.sampling == "segments" or (clips[0] == clips[-1]).all():
        return None
    head, names = next(iter(by_head(pretrained.labels).items()))
    logits = np.concatenate([part[head] for part in logits_of_views(pretrained, decode, (limits.windows, 1))])
    scores = np.asarray(pretrained.activation(jnp.asarray(logits)))
    foremost = np.argsort(-scores.max(axis=0), kind="stable")[:CURVES]
    return {
        "starts": [_rounded(info.times[clip[0]]) for clip in clips],
        "ends": [_rounded(info.times[clip[-1]]) for clip in clips],
        "curves": [{"label": names[i], "probabilities": [_rounded(value) for value in scores[:, i]]} for i in foremost],
    }


def picture(frames: np.ndarray) -> dict:
    """Frames side by side in a picture as a data address, with how they lie: `columns` a row, each `width` x `height`.

    Args:
      frames: uint8 (t, h, w, 3).
    """
    count, height, width = frames.shape[:3]
    shrink = min(1.0, LARGEST_SHOWN / max(height, width), math.sqrt(LARGEST_SHEET / (count * height * width)))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    columns = math.ceil(math.sqrt(count))
    sheet = Image.new("RGB", (columns * size[0], math.ceil(count / columns) * size[1]))
    for number, frame in enumerate(frames):
        sheet.paste(Image.fromarray(frame).resize(size), (number % columns * size[0], number // columns * size[1]))
    kind, options = ("png", {}) if max(size) <= LOSSLESS_PIXELS else ("jpeg", {"quality": 88})
    buffer = io.BytesIO()
    sheet.save(buffer, kind, **options)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"picture": f"data:image/{kind};base64,{data}", "frames": count, "columns": columns, "width": size[0], "height": size[1]}


def _rounded(value: float) -> float:
    """A number with the five digits that a picture needs."""
    return float(f"{float(value):.5g}")
