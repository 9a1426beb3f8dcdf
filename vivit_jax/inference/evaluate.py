"""A model scored on a split of a data set: every example once, several views of each, exact counts."""

import dataclasses
import functools
import os

import numpy as np

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset, ensure_dataset, warn_of_enlarging
from vivit_jax.data.video.container import LIMITS
from vivit_jax.errors import UserError
from vivit_jax.heads import Labels, by_head
from vivit_jax.inference.label_spaces import Relabelled, agree
from vivit_jax.inference.scores import Names, check_finite
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.preprocess import Views
from vivit_jax.training.averaging import averaged
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.evaluation import Evaluation, probabilities_of, score_batches
from vivit_jax.training.forward import Watch, outputs_of_batches
from vivit_jax.weights import Pretrained, from_pretrained


def evaluate(
    pretrained: Pretrained | str | os.PathLike,
    dataset: VideoDataset | str,
    split: str = "test",
    *,
    data_dir: str | os.PathLike | None = None,
    views: Views = (4, 3),
    flip: bool = False,
    average: str | None = None,
    batch_size: int = 8,
    data: DataConfig | None = None,
    parallel: ParallelConfig | None = None,
    progress: bool = True,
) -> Evaluation:
    """Scores a model on a split.

    Examples:
      >>> scores = evaluate("runs/digits/model", "motion_digits", data_dir="data")
      >>> scores.top1, scores.to_dict()["per_class"]

    Args:
      pretrained: the model, or its directory.
      dataset: a data set, or its name; its classes must all be the model's, by name, in any order.
      split: such as `test`.
      data_dir: the folder of prepared data sets, for a data set given by name; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      views: (temporal clips, spatial crops) of each video, which are averaged.
      flip: whether each view is also scored mirrored.
      average: what is averaged over the views, `logits` or `probabilities`; None is what the model says.
      batch_size: videos at once.
      data: readers and temporal order; stride, size and pixel range always come from the model.
      parallel: the devices.
      progress: whether to show a progress bar.

    Returns:
      The scores; `to_dict()` is what `evaluation.json` holds of them.

    Raises:
      UserError: for a data set or split that does not exist, labels that are not the model's, or a model that gives NaN.
    """
    if not isinstance(pretrained, Pretrained):
        pretrained = from_pretrained(pretrained)
    if isinstance(dataset, str):
        dataset = ensure_dataset(dataset, data_dir)
    split_pass = SplitPass(
        pretrained=dataclasses.replace(pretrained, average=average or pretrained.average),
        dataset=dataset,
        split=split,
        views=views,
        flip=flip,
        batch_size=batch_size,
        data=data or DataConfig(),
        parallel=parallel or ParallelConfig(),
    )
    return score_split(split_pass, agree(pretrained, dataset).labels, progress=progress)[0]


@dataclasses.dataclass(frozen=True)
class Unscored:
    """A model's outputs for videos whose classes are not known.

    Attributes:
      index: the videos' numbers in the split, int64 (b,), ascending.
      logits: float32 (b, classes) by head.
      labels: the class names of each head, in the order of the logits.
      multi_label: whether a video may have several classes.
    """

    index: np.ndarray
    logits: dict[str, np.ndarray]
    labels: dict[str, tuple[str, ...]]
    multi_label: bool = False

    @property
    def examples(self) -> int:
        """How many videos there are."""
        return len(self.index)

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """(b, classes) by head."""
        return probabilities_of(self.logits, multi_label=self.multi_label)


def check_multi_label(pretrained: Pretrained, dataset: VideoDataset) -> None:
    """Refuses a model of one class a video for a data set of several.

    Raises:
      UserError: for such a pair.
    """
    if dataset.multi_label and not pretrained.multi_label:
        raise UserError(
            f"the videos of {dataset.name} may have several classes, and the model was trained for one: use a model of loss.name sigmoid"
        )


def score_split(split_pass: SplitPass, labels: Labels, *, progress: bool = True) -> tuple[Evaluation, Names]:
    """Scores a model whose classes are known to be the data set's.

    Args:
      split_pass: the model, the videos and how they are seen.
      labels: the model's class names in the order of its logits, or those of each head, as `agree` finds them.
      progress: whether to show a progress bar.

    Returns:
      The scores, and the videos' names by their number in the split.

    Raises:
      UserError: for a split without labels, a model of one class a video for a data set of several, or a model that gives NaN.
    """
    check_multi_label(split_pass.pretrained, split_pass.dataset)
    warn_of_enlarging(split_pass.dataset, split_pass.pretrained.preprocess.resize)
    batches = split_pass.batches()
    named = dataclasses.replace(split_pass.pretrained, labels=labels)
    watch = Watch(shown=progress, patience=LIMITS.seconds)
    evaluation = score_batches(named, Relabelled(batches, labels, split_pass.dataset.labels), split_pass.parallel, watch)
    check_finite(evaluation, batches.names)
    return evaluation, batches.names


def predict_split(split_pass: SplitPass, labels: Labels, *, progress: bool = True) -> tuple[Unscored, Names]:
    """Predicts a split without labels; arguments and result are those of `score_split`, with logits in place of scores."""
    pretrained, batches = split_pass.pretrained, split_pass.batches(unlabelled=True)
    over_views = functools.partial(averaged, average=pretrained.average, multi_label=pretrained.multi_label)
    watch = Watch(f"predicting {split_pass.split}", shown=progress, patience=LIMITS.seconds)
    rows = outputs_of_batches(pretrained, batches, split_pass.parallel, over_views, watch)
    own = {head: tuple(names) for head, names in by_head(labels).items()}
    said = Unscored(rows["index"], by_head(rows["logits"]), own, pretrained.multi_label)
    check_finite(said, batches.names)
    return said, batches.names
