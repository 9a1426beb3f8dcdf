"""The last steps of every conversion of a CNN: the sampling of its videos, the model and the report."""

from collections.abc import Iterable

from vivit_jax.models.families import build
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.conversion import Conversion, ConversionOptions
from vivit_jax.weights.initialise import Initialisation
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import default_labels
from vivit_jax.weights.report import ReportLine

UNNAMED = ReportLine("(labels)", "-", "the file does not name its classes: LABEL_0, LABEL_1, ...; give their names by --labels")


def preprocess_of(started: Initialisation, options: ConversionOptions, *, stride: int, resize: int) -> Preprocess:
    """How videos are prepared for a model with these weights; `stride` and `resize` count where the options leave them open."""
    frames, *crop = started.model.clip
    return Preprocess(
        frames=frames,
        stride=options.stride or stride,
        resize=options.resize or resize,
        crop=tuple(crop),
        mean=started.mean,
        std=started.std,
    )


def conversion_of(
    started: Initialisation, preprocess: Preprocess, options: ConversionOptions, facts: Iterable[ReportLine], *, keeps_head: bool
) -> Conversion:
    """The converted model and its report.

    Args:
      started: the weights and their report.
      preprocess: how videos are prepared for them.
      options: give the class names, which a state dict does not have.
      facts: lines of the report about the preparation.
      keeps_head: whether the head is the source's, whose classes then have no names unless the options give them.
    """
    model = started.model
    pretrained = Pretrained(build(model), started.variables, preprocess, options.labels or default_labels(model))
    unnamed = [UNNAMED] if keeps_head and not options.labels else []
    return Conversion(pretrained, (*started.report, *facts, *unnamed))
