"""Features of videos, which a model gives to its head: for probes, search, clustering and plots."""

import dataclasses
import io
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from vivit_jax import console
from vivit_jax.atomic import write_output
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset, ensure_dataset
from vivit_jax.data.video.container import LIMITS
from vivit_jax.errors import UserError
from vivit_jax.files import at_home
from vivit_jax.heads import Labels, by_head
from vivit_jax.inference.backbones import MEAN, feature_model
from vivit_jax.inference.finite import check_outputs, not_finite
from vivit_jax.inference.outputs import Output, outputs_of
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.models.probe.config import LAST
from vivit_jax.preprocess import Views
from vivit_jax.training.averaging import each_view, mean_of_views
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.forward import Watch, outputs_of_batches
from vivit_jax.weights import Pretrained, from_pretrained

UNKNOWN = -1  # the label of a video file, whose class is not known

Path = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of the videos of a split, in its order; or of video files.

    Attributes:
      features: float32 (n, d), averaged over the views; (n, v, d) where they are kept apart.
      label: class numbers, int32 (n,); with several heads, these by head; uint8 (n, classes) of zeros and ones where a video may have
        several classes; -1 for files, and for videos of a split without labels.
      names: names of the videos, as an evaluation has them.
      label_names: class names in the order of their numbers, or those of each head; empty for files.
      views: (temporal clips, spatial crops) of each video.
    """

    features: np.ndarray
    label: np.ndarray | dict[str, np.ndarray]
    names: tuple[str, ...]
    label_names: Labels
    views: Views

    def __repr__(self) -> str:
        return f"Features({' x '.join(map(str, self.features.shape))} {self.features.dtype}, {console.counted(len(self.names), 'video')})"

    def to_arrays(self) -> dict[str, np.ndarray]:
        """`features`, `labels`, `names`, `label_names` and `views` as a file holds them.

        With several heads, `labels` is (n, heads), `heads` names its columns (sorted), and each head has its `label_names_HEAD`.
        """
        labels, names = self.label, dict(sorted(by_head(self.label_names).items()))
        several = isinstance(labels, Mapping)
        return {
            "features": self.features,
            "labels": np.stack([labels[head] for head in names], axis=1) if several else labels,
            "names": np.array(self.names, np.str_),
            **({"heads": np.array(list(names), np.str_)} if several else {}),
            **{f"label_names_{head}" if head else "label_names": np.array(of_head, np.str_) for head, of_head in names.items()},
            "views": np.array(self.views, np.int32),
        }

    def save(self, path: Path) -> None:
        """Writes a `.npz`, whole or not at all; `numpy.load` reads it without pickle. Equal features give equal bytes."""
        path, contents = at_home(path), io.BytesIO()
        np.savez(contents, **self.to_arrays())
        write_output(path, contents.getvalue())


def features(
    pretrained: Pretrained | Path,
    dataset: VideoDataset | Path | Sequence[Path],
    split: str = "test",
    *,
    data_dir: Path | None = None,
    views: Views = (1, 1),
    per_view: bool = False,
    time: tuple[str, ...] = MEAN,
    layers: tuple[int, ...] = LAST,
    batch_size: int = 8,
    data: DataConfig | None = None,
    parallel: ParallelConfig | None = None,
    progress: bool = True,
) -> Features:
    """Features of a split of a data set, or of video files: what the model gives to its head.

    Examples:
      >>> train = features("runs/digits/model", "motion_digits", "train", data_dir="data")
      >>> mine = features("runs/digits/model", ["clip.mp4", "other.mp4"], views=(4, 3))

    Args:
      pretrained: a model with or without a head, or its directory.
      dataset: a data set, or its name; or a video file, or a list of them.
      split: the split of the data set.
      data_dir: the folder of prepared data sets, for a data set given by name; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      views: (temporal clips, spatial crops) of each video; (1, 1) is the middle clip.
      per_view: whether to keep the features of each view, instead of averaging them.
      time: statistics over time, of `mean` (the model's own feature), `deviation` and `difference`; each makes d numbers.
      layers: the layers to take them from, counted back from -1, the last.
      batch_size: videos at once.
      data: readers and temporal order.
      parallel: the devices.
      progress: whether to show a progress bar.

    Returns:
      `features`, float32 (n, d), with the labels and the names of the videos; `save("features.npz")` writes them.

    Raises:
      UserError: for a data set, split or video that does not exist or cannot be read, or a model that gives NaN.
    """
    if not isinstance(pretrained, Pretrained):
        pretrained = from_pretrained(pretrained)
    if isinstance(dataset, os.PathLike) or (isinstance(dataset, str) and not dataset.isidentifier() and pathlib.Path(dataset).is_file()):
        dataset = [dataset]
    if not isinstance(dataset, str | VideoDataset):
        found, errors = features_of_files(pretrained, dataset, views=views, per_view=per_view, time=time, layers=layers, progress=progress)
        if errors:
            raise UserError(errors[0])
        return found
    if isinstance(dataset, str):
        dataset = ensure_dataset(dataset, data_dir)
    split_pass = SplitPass(
        pretrained=feature_model(pretrained, time=time, layers=layers),
        dataset=dataset,
        split=split,
        views=views,
        batch_size=batch_size,
        data=data or DataConfig(),
        parallel=parallel or ParallelConfig(),
    )
    return features_of_split(split_pass, per_view=per_view, progress=progress)


def features_of_split(split_pass: SplitPass, *, per_view: bool = False, progress: bool = True) -> Features:
    """The outputs of a model without a head for the videos of a split, labelled or not. `per_view` and the errors are as for `features`."""
    batches = split_pass.batches(unlabelled=True)
    watch = Watch(f"features of {split_pass.split}", shown=progress, patience=LIMITS.seconds)
    rows = outputs_of_batches(split_pass.pretrained, batches, split_pass.parallel, each_view if per_view else mean_of_views, watch)
    names = tuple(batches.names[index] for index in rows["index"].tolist())
    check_outputs(rows["logits"], names.__getitem__)
    return Features(rows["logits"], rows["label"], names, split_pass.dataset.labels, split_pass.views)


def features_of_files(
    pretrained: Pretrained,
    videos: Sequence[Path],
    *,
    views: Views = (1, 1),
    per_view: bool = False,
    time: tuple[str, ...] = MEAN,
    layers: tuple[int, ...] = LAST,
    progress: bool = True,
) -> tuple[Features, list[str]]:
    """Features of the video files that have some, in order, and a line for each that cannot be read or gives NaN. See `features`.

    Raises:
      UserError: if none has.
    """
    videos = [os.fspath(video) for video in videos]
    outputs = outputs_of(feature_model(pretrained, time=time, layers=layers), videos, views=views, per_view=per_view)
    done = list(console.tracked(outputs, "features", len(videos), shown=progress))
    faults = [_fault(output) for output in done]
    errors, read = [fault for fault in faults if fault], [output for output, fault in zip(done, faults, strict=True) if not fault]
    if not read:
        raise UserError(errors[0] if errors else "no videos are given")
    names = tuple(output.video for output in read)
    values = np.stack([output.values[""] for output in read]).astype(np.float32)
    return Features(values, np.full(len(read), UNKNOWN, np.int32), names, (), views), errors


def _fault(output: Output) -> str | None:
    """Why a file has no features that can be used; None where it has."""
    return output.error or (None if np.isfinite(output.values[""]).all() else not_finite(output.video))
