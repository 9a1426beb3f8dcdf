"""The files that the challenges of two data sets take: scores of each clip by its publisher's name and class numbers.

Epic-Kitchens-100's action recognition challenge takes a zip with one file `test.json` (https://github.com/epic-kitchens/C1-Action-Recognition):

    {"version": "0.2", "challenge": "action_recognition", "sls_pt": 2, "sls_tl": 3, "sls_td": 3,
     "results": {"P01_101_0": {"verb": {"0": 1.223, ..., "96": 0.023}, "noun": {"0": 0.804, ..., "299": 0.023}}, ...}}

The server takes the softmax of these scores, so that they are logits. Something-Something v2 takes a line for each clip, its number and
those of the five most probable classes: `78687;12;4;100;3;55`.
"""

import dataclasses
import io
import json
import pathlib
import zipfile
from collections.abc import Callable

import numpy as np

from vivit_jax.atomic import write_output
from vivit_jax.errors import UserError, check_name
from vivit_jax.heads import Labels, by_head
from vivit_jax.inference.digits import float32_digits
from vivit_jax.inference.evaluate import Unscored
from vivit_jax.inference.scores import Names
from vivit_jax.training.evaluation import Evaluation

EPIC_HEADS = ("verb", "noun")
GUESSES = 5


@dataclasses.dataclass(frozen=True)
class Submission:
    """The contents of a submission.

    Attributes:
      evaluation: the model's logits, of videos that were scored or are not known.
      labels: the data set's classes in the order of their numbers, or those of each head.
      names: the clips' names by their index.
      supervision: levels of pretraining, training labels and training data in Epic-Kitchens' scale; None if they are not given.
    """

    evaluation: Evaluation | Unscored
    labels: Labels
    names: Names
    supervision: tuple[int, int, int] | None = None

    def logits(self, head: str) -> np.ndarray:
        """(clips, classes), the classes in the order of the data set's numbers."""
        own = {name: number for number, name in enumerate(self.evaluation.labels[head])}
        return self.evaluation.logits[head][:, [own[name] for name in by_head(self.labels)[head]]]

    @property
    def clips(self) -> list[str]:
        """The clips' names in order."""
        return [self.names[index] for index in self.evaluation.index.tolist()]


def check_submission(challenge: str, labels: Labels, supervision: tuple[int, int, int] | None) -> None:
    """Refuses what a challenge does not take, before anything is scored.

    Args:
      challenge: one of `CHALLENGES`.
      labels: the data set's classes, or those of each head.
      supervision: as in `Submission`.

    Raises:
      UserError: for an unknown challenge, other heads than it has, or missing levels of supervision.
    """
    check_name("challenge", challenge, CHALLENGES)
    if challenge == "ssv2" and (list(by_head(labels)) != [""] or len(labels) < GUESSES):
        raise UserError(f"a Something-Something submission needs one head of at least {GUESSES} classes, not {_heads(labels)}")
    if challenge == "epic" and set(by_head(labels)) != set(EPIC_HEADS):
        raise UserError(f"an Epic-Kitchens submission needs the heads verb and noun, and the data set has {_heads(labels)}")
    if challenge == "epic" and supervision is None:
        raise UserError(
            "an Epic-Kitchens submission says how the model was supervised: give --sls PT,TL,TD, three levels from 0 to 5 "
            "(https://github.com/epic-kitchens/sls), such as 2,3,3 for pretraining on public videos and training on the training set"
        )


def epic(submission: Submission) -> bytes:
    """`test.json` in a zip."""
    scores = {head: submission.logits(head).astype(np.float64) for head in EPIC_HEADS}
    results = {
        name: {head: {str(number): float32_digits(value) for number, value in enumerate(scores[head][row])} for head in EPIC_HEADS}
        for row, name in enumerate(submission.clips)
    }
    levels = dict(zip(("sls_pt", "sls_tl", "sls_td"), submission.supervision, strict=True))
    contents = {"version": "0.2", "challenge": "action_recognition", **levels, "results": results}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("test.json"), json.dumps(contents), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def ssv2(submission: Submission) -> bytes:
    """A line for each clip."""
    best = np.argsort(-submission.logits(""), axis=1, kind="stable")[:, :GUESSES]
    return "".join(f"{name};{';'.join(map(str, row))}\n" for name, row in zip(submission.clips, best.tolist(), strict=True)).encode()


CHALLENGES: dict[str, Callable[[Submission], bytes]] = {"epic": epic, "ssv2": ssv2}


def write_submission(challenge: str, submission: Submission, path: pathlib.Path) -> None:
    """Writes the file of a challenge, one of `CHALLENGES`, whole or not at all.

    Raises:
      UserError: as `check_submission`.
    """
    check_submission(challenge, submission.labels, submission.supervision)
    contents = CHALLENGES[challenge](submission)
    write_output(path, contents)


def _heads(labels: Labels) -> str:
    return ", ".join(f"{head or 'one'} of {len(names)} classes" for head, names in by_head(labels).items())
