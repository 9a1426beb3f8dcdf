"""What models say of an upload, as plain values for JSON."""

import base64
import dataclasses
import io
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from vivit_jax.data.sampling import evaluation_clips, frames_once
from vivit_jax.data.video.reader import VideoInfo
from vivit_jax.errors import UserError, check_name
from vivit_jax.files import real_path
from vivit_jax.heads import by_head
from vivit_jax.inference.explain import explain_clip
from vivit_jax.inference.outputs import Decode, logits_of_views
from vivit_jax.inference.predict import plain, predict_decoded
from vivit_jax.models.families import family_of
from vivit_jax.preprocess import Preprocess, Views
from vivit_jax.serving.limits import ServingLimits
from vivit_jax.serving.reading import Reader, Upload
from vivit_jax.weights import Pretrained, from_pretrained

LOSSLESS_PIXELS = 96  # a side up to which a clip's frames are shown as they are; larger ones as JPEG
LARGEST_SHOWN = 256  # pixels of a side; larger frames are shown smaller
LARGEST_SHEET = 1 << 22  # pixels of all frames of a clip together; those of a longer clip are shown smaller still
CURVES = 3  # classes whose score is drawn along the video


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model under the name that requests call it by."""

    name: str
    pretrained: Pretrained

    def to_dict(self) -> dict:
        """What `GET /api/models` tells of it."""
        config, preprocess = self.pretrained.model.config, self.pretrained.preprocess
        labels = {head: list(names) for head, names in by_head(self.pretrained.labels).items()}
        return {
            "name": self.name,
            "family": config.family,
            "description": family_of(config).describe(config),
            "parameters": int(sum(leaf.size for leaf in jax.tree.leaves(self.pretrained.variables["params"]))),
            "clip": _clip(preprocess),
            "labels": labels.get("", labels),
            "multi_label": self.pretrained.multi_label,
        }


def _clip(preprocess: Preprocess) -> dict:
    """How a model's clip is taken: `stride` or `rate` is null, and where a clip is one frame from each segment, both are."""
    is_dense = preprocess.sampling == "dense"
    return {
        "frames": preprocess.frames,
        "stride": preprocess.stride if is_dense and preprocess.rate is None else None,
        "rate": preprocess.rate if is_dense else None,
        "height": preprocess.crop[0],
        "width": preprocess.crop[1],
    }


@dataclasses.dataclass(frozen=True)
class Question:
    """What a request wants to know.

    Attributes:
      top_k: classes of each ranking.
      views: (temporal, spatial) views that a ranking is the mean of.
      models: names of the models to ask; empty for all.
      label: the class to explain; empty, as for a model that does not have it, for the model's most probable one.
      details: whether the answer also holds the clip, the evidence in it, and the score along the video.
    """

    top_k: int
    views: Views
    models: tuple[str, ...] = ()
    label: str = ""
    details: bool = False


def load_models(sources: list[str]) -> list[ServedModel]:
    """Loads models and puts their weights on the device. Each is named by the last part of its source that tells it from the others.

    Raises:
      UserError: for a source that cannot be read, or a model without a head.
    """
    models = []
    for source, name in zip(sources, names_of(sources), strict=True):
        pretrained = from_pretrained(source)
        if not pretrained.model.config.heads:
            raise UserError(f"{source}: the model has no head, so it has no classes to predict: fit one by `vivit probe`")
        models.append(ServedModel(name, dataclasses.replace(pretrained, variables=jax.device_put(pretrained.variables))))
    return models


def names_of(sources: list[str]) -> list[str]:
    """A short name for each source, without the folder it lies in.

    >>> names_of(["runs/a/model", "runs/b/model"]), names_of(["hf://google/vivit-b-16x2-kinetics400"])
    (['a', 'b'], ['vivit-b-16x2-kinetics400'])
    """
    parts = [real_path(source).parts if "://" not in source else source.rstrip("/").split("/") for source in sources]
    names = [own[-2] if own[-1] in ("model", "model_last") and len(own) > 1 else own[-1] for own in parts]
    return [f"{name} ({1 + names[:i].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def models_for(models: list[ServedModel], question: Question) -> list[ServedModel]:
    """The models that a question is put to.

    Raises:
      UserError: for the name of no model, or a class that none of them has.
    """
    names = [model.name for model in models]
    for name in question.models:
        check_name("model", name, names)
    chosen = [model for model in models if not question.models or model.name in question.models]
    labels = {label for model in chosen for names in by_head(model.pretrained.labels).values() for label in names}
    if question.label:
        check_name("label", question.label, labels)
    return chosen


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
