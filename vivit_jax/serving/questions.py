"""What a request wants to know, by its parameters, which are read strictly."""

import dataclasses
import re

from starlette.datastructures import QueryParams

from vivit_jax.errors import UserError, check_name
from vivit_jax.preprocess import Views
from vivit_jax.serving.limits import ServingLimits

PARAMETERS = ("top_k", "views", "model", "details", "label")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
MOST_CLASSES = 10**6
LONGEST = 300


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


def question_of(query: QueryParams, views: Views, limits: ServingLimits) -> Question:
    """The question that the parameters of an address ask.

    Args:
      query: the parameters.
      views: the views of a video where the request does not say.
      limits: what it may ask for.

    Raises:
      UserError: for an unknown parameter, or a value that means nothing or is over a limit.
    """
    for name, value in query.multi_items():
        if len(name) + len(value) > LONGEST:
            raise UserError(f"a parameter must be at most {LONGEST} characters long, got {len(name) + len(value)}")
        check_name("parameter", name, PARAMETERS)
    top_k = query.get("top_k", "5")
    if not re.fullmatch(r"[1-9]\d{0,5}", top_k, re.ASCII):
        raise UserError(f"top_k must be a whole number from 1 to {MOST_CLASSES - 1}, got {top_k!r}")
    asked_views = views
    if "views" in query:
        match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", query["views"], re.ASCII)
        if not match:
            raise UserError(f"views must be temporal clips x spatial crops, such as 4x3, got {query['views']!r}")
        asked_views = limits.check_views((int(match[1]), int(match[2])))
    details = query.get("details", "false").lower()
    if details not in BOOLEANS:
        raise UserError(f"details must be true or false, got {details!r}")
    return Question(int(top_k), asked_views, tuple(query.getlist("model")), query.get("label", ""), BOOLEANS[details])
