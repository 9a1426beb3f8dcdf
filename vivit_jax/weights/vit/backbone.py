"""The common form that every format is read into: a vision transformer under our names. An image model is a video model of one frame.

Parameters lie flat, by path:

    tokenizer/kernel (t, h, w, 3, d), tokenizer/bias (d)
    cls (d), cls_position (d), position (n_t, n_h, n_w, d)
    encoder/block_00/..., encoder/norm/...      blocks as in `vivit_jax.models.vivit.encoder`
    temporal_encoder/cls, cls_position, position (n_t, d), block_00/..., norm/...      Model 2's
    head/kernel, head/bias

The cls token and everything temporal are there only if the source has them. Each block has `attention`, or, if Model 3's,
`spatial_attention` and `temporal_attention`.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.heads import Labels
from vivit_jax.preprocess import HALF
from vivit_jax.weights.config import Triple
from vivit_jax.weights.model_json import LOGITS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Params = dict[str, np.ndarray]

# Heads of the usual widths are 64 wide, ViT-H's 80. Fused or square projections do not show the number of heads.
HEADS_OF_WIDTH = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """Facts about a source that its files do not hold, from the user.

    Attributes:
      format: the format by name, or `auto`.
      num_heads: attention heads.
      default_heads: attention heads to assume where neither the files nor the width say.
      image_size: (h, w) in pixels that the source's positions are for.
      clip: (t, h, w) in frames and pixels that the source's positions are for.
      target_clip: the clip wanted; taken for the source's own where its positions fit.
      factorisation: the factorisation of a ViViT whose tree fits several.
      frames: the source, if it has an image model's kernel, is a ViViT that samples frames uniformly.
      sampled_frames: how many it must sample for that.
      attention_order: the order of Model 3's attentions, `space_time` or `time_space`.
      pool: how a ViViT without a cls token pools its tokens.
    """

    format: str = "auto"
    num_heads: int | None = None
    default_heads: int | None = None
    image_size: tuple[int, int] | None = None
    clip: tuple[int, int, int] | None = None
    target_clip: tuple[int, int, int] | None = None
    factorisation: str | None = None
    frames: bool = False
    sampled_frames: int | None = None
    attention_order: str | None = None
    pool: str | None = None


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A source that was read.

    Attributes:
      name: file or directory and format, for reports and errors.
      params: parameters by the paths that the module's docstring lists.
      num_heads: attention heads.
      activation: the activation of the MLPs, as `ViViTConfig` names it.
      norm_eps: the epsilon of every LayerNorm.
      last_norm_eps: the epsilon of the encoder's last LayerNorm, where it is another.
      mean: the mean of each RGB channel, for pixels in [0, 1].
      std: the standard deviation of each RGB channel, for pixels in [0, 1].
      position_resize: how the source's own code resizes positions, as `resize_positions` names it.
      factorisation: None for an image model.
      clip: (t, h, w) of a ViViT's videos; None for an image model.
      tokenizer: as `ViViTConfig` names it.
      pool: how tokens become the feature that the head sees.
      attention_order: the order of Model 3's attentions, if it is known.
      grids: positions that the source holds ready for other grids, as {(n_h, n_w): (n_h, n_w, d)}.
      dropped: groups of tensors that have no place in a ViViT, each with the reason.
      why_headless: why the head cannot be kept; None if it can.
      labels: class names, if the source has them.
      multi_label: whether a video may have several of them.
      average: what is averaged over the views of a video, `logits` or `probabilities`.
      resize: short side in pixels before the crop, if the source says.
      stride: source frames between two frames of a clip, if the source says.
      sampling: other fields of a `Preprocess` that say which frames a clip has, if the source says.
      stated_in: the file that states `activation`, `norm_eps`, `mean`, `std`, `resize` or `stride`, by field; other values are assumed.
      notes: other facts for the report.
      origin: the source's own names of its tensors, by our path; empty where they are the same.
    """

    name: str
    params: Params
    num_heads: int
    activation: str = "gelu"
    norm_eps: float = 1e-6
    last_norm_eps: float | None = None
    mean: Triple = HALF
    std: Triple = HALF
    position_resize: str = "cubic"
    factorisation: str | None = None
    clip: tuple[int, int, int] | None = None
    tokenizer: str = "tubelet"
    pool: str = "token"
    attention_order: str | None = None
    grids: Mapping[tuple[int, int], np.ndarray] = dataclasses.field(default_factory=dict)
    dropped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    why_headless: str | None = None
    labels: Labels | None = None
    multi_label: bool = False
    average: str = LOGITS
    resize: int | None = None
    stride: int | None = None
    sampling: Mapping[str, object] = dataclasses.field(default_factory=dict)
    stated_in: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def called(self, part: str) -> str:
        """The source's name for the parameters whose paths begin with `part`: one name, or the common beginning of theirs."""
        names = sorted(name for path, name in self.origin.items() if path.startswith(part))
        if not names:
            return f"{part}*" if part.endswith(("/", "_")) else part
        if len(names) == 1:
            return names[0]
        parts = [re.findall(r"[^./]+[./]?", re.sub(r"\d+", "*", name)) for name in names]
        shared = "".join(at[0] for at in itertools.takewhile(lambda at: len(set(at)) == 1, zip(*parts, strict=False)))
        return shared[:-1] if shared.endswith(("*/", "*.")) else f"{shared}*"

    @property
    def is_image(self) -> bool:
        """Whether the source is an image model."""
        return self.factorisation is None

    @property
    def patch(self) -> tuple[int, int]:
        """(h, w) of a patch in pixels."""
        return self.params["tokenizer/kernel"].shape[1:3]

    @property
    def hidden_size(self) -> int:
        """Width d."""
        return self.params["tokenizer/kernel"].shape[-1]

    @property
    def mlp_dim(self) -> int:
        """Hidden width of the MLPs."""
        return self.params["encoder/block_00/mlp/in/kernel"].shape[-1]

    @property
    def num_layers(self) -> int:
        """Layers of the encoder; of Model 2, of its spatial encoder."""
        return depth(self.params, "encoder")

    @property
    def temporal_layers(self) -> int:
        """Layers of Model 2's temporal encoder."""
        return depth(self.params, "temporal_encoder")

    @property
    def temporal_heads(self) -> int:
        """Attention heads of Model 2's temporal encoder."""
        return self.params["temporal_encoder/block_00/attention/query/kernel"].shape[1]

    @property
    def temporal_mlp_dim(self) -> int:
        """Hidden width of the MLPs of Model 2's temporal encoder."""
        return self.params["temporal_encoder/block_00/mlp/in/kernel"].shape[-1]


def depth(names: Mapping[str, object], encoder: str) -> int:
    """Blocks of an encoder, by the highest number: a block that is missing below it will be missed."""
    numbers = [int(match[1]) for name in names if (match := re.match(rf"{encoder}/block_(\d+)/", name))]
    return max(numbers, default=-1) + 1


def block_shapes(prefix: str, attentions: tuple[str, ...], hidden: int, heads: int, mlp: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one block's parameters."""
    split = (heads, hidden // heads)
    layers = {f"norm_{name}": {"scale": (hidden,), "bias": (hidden,)} for name in (*attentions, "mlp")}
    layers |= {f"{name}/{part}": {"kernel": (hidden, *split), "bias": split} for name in attentions for part in ("query", "key", "value")}
    layers |= {f"{name}/out": {"kernel": (*split, hidden), "bias": (hidden,)} for name in attentions}
    layers |= {"mlp/in": {"kernel": (hidden, mlp), "bias": (mlp,)}, "mlp/out": {"kernel": (mlp, hidden), "bias": (hidden,)}}
    return {f"{prefix}/{layer}/{leaf}": shape for layer, shapes in layers.items() for leaf, shape in shapes.items()}


def square_grid(count: int) -> tuple[int, int] | None:
    """(n, n) if `count` is n squared."""
    side = round(count**0.5)
    return (side, side) if side * side == count else None


def heads_of_width(width: int, options: SourceOptions, name: str) -> int:
    """Attention heads where a file does not show them: as told, or those of the usual width.

    Raises:
      UserError: asking for them by name.
    """
    heads = options.num_heads or HEADS_OF_WIDTH.get(width) or options.default_heads
    if heads is None:
        raise UserError(f"{name}: the number of attention heads does not follow from a width of {width}: give num_heads")
    if width % heads:
        raise UserError(f"{name}: a width of {width} is not divisible by num_heads {heads}")
    return heads
