"""The models of a server, each under the name that requests call it by."""

import dataclasses

import jax

from vivit_jax.errors import UserError, check_name
from vivit_jax.files import real_path
from vivit_jax.heads import by_head
from vivit_jax.models.families import family_of
from vivit_jax.preprocess import Preprocess
from vivit_jax.serving.questions import Question
from vivit_jax.weights import Pretrained, from_pretrained


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
