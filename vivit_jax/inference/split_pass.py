"""One pass of a model over the videos of a split: which model, which videos, and how it sees each of them."""

import dataclasses

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.pipeline import EvaluationBatches, evaluation_batches
from vivit_jax.data.sampling import check_views
from vivit_jax.errors import check_whole
from vivit_jax.preprocess import Views
from vivit_jax.training.config import ParallelConfig
from vivit_jax.weights import Pretrained


@dataclasses.dataclass(frozen=True)
class SplitPass:
    """One pass of a model over the videos of a split.

    Attributes:
      pretrained: the model, with what it averages over the views.
      dataset: the data set.
      split: its split, by the data set's own name.
      views: (temporal clips, spatial crops) of each video, whose outputs become one.
      flip: whether each view is also seen mirrored.
      batch_size: videos at once.
      data: readers and temporal order; stride, size and pixel range always come from the model.
      parallel: the devices.

    Raises:
      UserError: for views or a batch size that are not whole numbers of at least 1.
    """

    pretrained: Pretrained
    dataset: VideoDataset
    split: str
    views: Views
    flip: bool = False
    batch_size: int = 8
    data: DataConfig = DataConfig()
    parallel: ParallelConfig = ParallelConfig()

    def __post_init__(self) -> None:
        check_views(self.views)
        check_whole("batch_size", self.batch_size)

    def batches(self, *, unlabelled: bool = False) -> EvaluationBatches:
        """The videos in order; `unlabelled` takes a split without labels too."""
        records = self.dataset.any_source(self.split) if unlabelled else self.dataset.source(self.split)
        options = {"views": self.views, "flip": self.flip, "batch_size": self.batch_size}
        return evaluation_batches(records, self.pretrained.preprocess, self.data, **options)
