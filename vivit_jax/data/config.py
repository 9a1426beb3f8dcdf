"""The `data` and `augment` sections of an experiment. A clip's frames and crop are the model's `clip`: they are said once, there."""

import dataclasses

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.preprocess import check_sampling

TEMPORAL_ORDERS = ("forward", "shuffled", "one_frame")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """A prepared data set and how clips are sampled from it.

    Attributes:
      name: the data set's name, as given to `vivit prepare --name`; `motion_digits` is made on first use.
      data_dir: the folder of prepared data sets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      train_split: the split to train on, as tfds names it: `train`, `train[:10%]` or `train+val`.
      val_split: the split evaluated during training; None evaluates none.
      test_split: the split evaluated at the end; None evaluates none.
      stride: the distance in source frames between two frames of a clip.
      rate: the frames a second of a clip, so that videos of 15, 30 and 60 frames a second show the same motion; the nearest frames are
        taken. If given, it replaces `stride`.
      sampling: `dense` takes frames at the distance of `stride` or `rate`. `segments` spreads a clip over the whole video: it takes one
        frame of each of as many equal parts, in training a random one, else the middle one (temporal views take other places).
      padding: how a video that is shorter than a clip fills it: `loop` starts the video over (in training, the clip begins at any frame, as
        in Scenic), `hold` repeats its last frame.
      resize: the short side in pixels that frames are scaled to before the crop.
      mean: the mean of each channel that is subtracted from pixels in [0, 1]; None is that of `init.source`, or 0.5.
      std: the standard deviation of each channel that pixels in [0, 1] are divided by; None is that of `init.source`, or 0.5.
      temporal_order: `forward`; or a control that shows how much motion matters: `shuffled` (the clip's frames in random order) or
        `one_frame` (one random frame repeated).
      readers: threads that read and decode, in this process or in each worker process. None is one in a worker, else one a CPU, up to 4.
      processes: worker processes that read; 0 reads in this process. None takes one a CPU, up to 16 a GPU or TPU, to train and to evaluate
        splits of 1,000 clips or more, if there are more than 4 CPUs and enough shared memory and `readers` is not given; in all other cases
        it is 0.
      cache_gigabytes: memory for the decoded frames of the training split, shared by threads and processes, and as much again for those of
        the validation split. 0 decodes each clip anew; so does a split that does not fit, with a warning. The pixels are the same.
    """

    name: str = "motion_digits"
    data_dir: str | None = None
    train_split: str = "train"
    val_split: str | None = "val"
    test_split: str | None = "test"
    stride: int = 2
    rate: float | None = None
    sampling: str = "dense"
    padding: str = "loop"
    resize: int = 256
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    temporal_order: str = "forward"
    readers: int | None = None
    processes: int | None = None
    cache_gigabytes: float = 0.0

    def __post_init__(self) -> None:
        if self.temporal_order not in TEMPORAL_ORDERS:
            raise unknown_name("data.temporal_order", self.temporal_order, TEMPORAL_ORDERS)
        check_sampling(self.rate, self.sampling, self.padding)
        if self.sampling == "segments" and (self.rate is not None or self.padding != "loop"):
            raise UserError("data.sampling segments spreads a clip over the whole video: data.rate and data.padding have no effect with it")
        for field, least in (("stride", 1), ("resize", 1), ("readers", 1), ("processes", 0), ("cache_gigabytes", 0)):
            value = getattr(self, field)
            if value is not None and value < least:
                raise UserError(f"data.{field} must be at least {least}, got {value}")


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Transforms of a training clip, each drawn once a clip and the same for all its frames.

    Attributes:
      flip: probability of a horizontal flip; set it to 0 if left and right distinguish classes.
      flip_vertical: probability of a flip from top to bottom, for volumes.
      flip_time: probability of reversing the frames, for volumes.
      shift: the most frames and pixels that a clip is moved along each of its three axes, for volumes; its edge fills the gap.
      rotation: the most degrees that a clip is rotated, about an axis of any direction in time and space, for volumes.
      scale_jitter: (lowest, highest) factor on the frame's size before the random crop, or None; Scenic's is (0.9, 1.33).
      scale_jitter_independent: whether height and width have separate factors, as in Scenic, or a common one.
      random_resized_crop: instead of scale and crop: (lowest, highest) share of the frame's area that is cut out, with an aspect ratio
        within 4/3 of the crop's, and resized to the crop; `data.resize` is then used in evaluation only. None is off.
      colour_jitter: probability of changing brightness, saturation, contrast and hue; Scenic's is 0.8.
      colour_strength: factor on how far the jitter goes; 1 is Scenic's, and 2.5 the most.
      greyscale: probability of losing all colour, after the jitter; Scenic's is 0.1.
      randaugment_layers: operations of RandAugment; 0 is none. Scenic takes 2, in place of `colour_jitter` and `greyscale`.
      randaugment_magnitude: the common strength of these operations; 10 is full, and Scenic's 15 and 20 go beyond.
      randaugment_geometric: whether a clip may also be rotated, sheared and shifted, which Scenic's is not; for magnitudes up to 10.
      erasing: probability of covering a box of 2 to 33 % of the frame in noise, before the colours change.
      repeats: how many clips of a video are drawn in a row, each at its own time and augmented anew; an epoch of training then sees 1 /
        `repeats` of the records.
    """

    flip: float = 0.5
    flip_vertical: float = 0.0
    flip_time: float = 0.0
    shift: int = 0
    rotation: float = 0.0
    scale_jitter: tuple[float, float] | None = None
    scale_jitter_independent: bool = False
    random_resized_crop: tuple[float, float] | None = None
    colour_jitter: float = 0.0
    colour_strength: float = 1.0
    greyscale: float = 0.0
    randaugment_layers: int = 0
    randaugment_magnitude: float = 10.0
    randaugment_geometric: bool = False
    erasing: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        for field in ("flip", "flip_vertical", "flip_time", "colour_jitter", "greyscale", "erasing"):
            if not 0 <= getattr(self, field) <= 1:
                raise UserError(f"augment.{field} is a probability, from 0 to 1, got {getattr(self, field)}")
        if self.scale_jitter and not 0 < self.scale_jitter[0] <= self.scale_jitter[1]:
            raise UserError(f"augment.scale_jitter must be (lowest, highest), both above 0, or None, got {self.scale_jitter}")
        if self.random_resized_crop and not 0 < self.random_resized_crop[0] <= self.random_resized_crop[1] <= 1:
            raise UserError(f"augment.random_resized_crop must be (lowest, highest) share of the area, got {self.random_resized_crop}")
        if self.random_resized_crop and self.scale_jitter:
            raise UserError("augment.random_resized_crop is instead of augment.scale_jitter: set one of them to None")
        if not 0 < self.colour_strength <= 2.5:
            raise UserError(f"augment.colour_strength must be above 0 and at most 2.5, got {self.colour_strength}")
        for field, least in (("shift", 0), ("randaugment_layers", 0), ("randaugment_magnitude", 0), ("repeats", 1)):
            if getattr(self, field) < least:
                raise UserError(f"augment.{field} must be at least {least}, got {getattr(self, field)}")
        if not 0 <= self.rotation <= 180:
            raise UserError(f"augment.rotation must be an angle of 0 to 180 degrees, got {self.rotation}")

    @property
    def changes_colours(self) -> bool:
        """Whether a clip's colours may change, so that how they do goes with the batch."""
        return bool(self.colour_jitter or self.greyscale)
