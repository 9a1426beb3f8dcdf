"""Predictions as rows of a table: the most probable classes of a window or of a whole video, and when it was."""

import dataclasses
import hashlib
import json

import numpy as np

from vivit_jax.heads import by_head
from vivit_jax.inference.digits import float32_digits
from vivit_jax.inference.predict import ranked
from vivit_jax.inference.windows import WindowScores
from vivit_jax.weights import Pretrained
from vivit_jax.weights.layers import flatten_variables
from vivit_jax.weights.model_json import LOGITS

Row = dict[str, str | float]


@dataclasses.dataclass(frozen=True)
class RowsOfModel:
    """Makes rows of a model's scores: the most probable classes of each window, the most probable first.

    Attributes:
      pretrained: the model.
      top_k: rows a window and head; fewer where a head has fewer classes.
    """

    pretrained: Pretrained
    top_k: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """`video`, `start` and `end` in seconds from the video's first frame, `head` for several heads, `label`, `probability`."""
        head = ("head",) if "" not in by_head(self.pretrained.labels) else ()
        return ("video", "start", "end", *head, "label", "probability")

    @property
    def rows_a_window(self) -> int:
        """How many rows each window has."""
        return sum(min(self.top_k, len(names)) for names in by_head(self.pretrained.labels).values())

    def rows(self, video: str, scores: WindowScores) -> list[Row]:
        """The rows of one window."""
        where = {"video": video, "start": rounded(scores.start), "end": rounded(scores.end)}
        return [
            {**where, **({"head": head} if head else {}), "label": label, "probability": float32_digits(probability)}
            for head, ranking in by_head(ranked(self.pretrained, scores.probabilities, self.top_k)).items()
            for label, probability in ranking
        ]


def rounded(seconds: float) -> float:
    """Seconds to the microsecond, as a whole number where they are one."""
    rounded = round(seconds, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def fingerprint(pretrained: Pretrained) -> str:
    """SHA-256 of what a model's scores depend on: its config, weights, preprocessing and class names."""
    told = [pretrained.model.config.to_dict(), pretrained.preprocess.to_dict(), by_head(pretrained.labels), pretrained.problem_type]
    told += [pretrained.average] if pretrained.average != LOGITS else []
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, leaf in sorted(flatten_variables(pretrained.variables).items()):
        digest.update(name.encode())
        digest.update(memoryview(np.ascontiguousarray(leaf)).cast("B"))
    return digest.hexdigest()
