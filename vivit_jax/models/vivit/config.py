"""The config of a ViViT: one frozen dataclass, checked when it is made.

A `ViViTConfig` that exists is possible to build: every combination that cannot work is refused here, with the values, so that the modules
need no checks of their own. Everything else in the package (weights, training, commands) describes a model by this class.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from vivit_jax.errors import UserError
from vivit_jax.models.base_config import DTYPES, BaseConfig, check_flag, check_name, check_positive, check_rate
from vivit_jax.models.vivit.patch_dropout import PatchDropout, count_kept

FACTORISATIONS = (
    "spatio_temporal_attention",
    "factorised_encoder",
    "factorised_self_attention",
    "factorised_dot_product_attention",
)
TOKENIZERS = ("tubelet", "frames")
POOLS = ("token", "mean", "max", "sum", "mean_then_norm")
ACTIVATIONS = ("gelu_tanh", "gelu")
ATTENTION_ORDERS = ("space_time", "time_space")
PATCH_DROPOUTS = ("token", "tube")
ATTENTION_BACKENDS = ("auto", "xla", "chunked", "cudnn", "fa3")

# Backbones of ViT (Dosovitskiy et al., Table 1; Ti and S from DeiT), used by the paper in B, L and H.
SIZES = {
    "Ti": {"hidden_size": 192, "num_layers": 12, "num_heads": 3, "mlp_dim": 768},
    "S": {"hidden_size": 384, "num_layers": 12, "num_heads": 6, "mlp_dim": 1536},
    "B": {"hidden_size": 768, "num_layers": 12, "num_heads": 12, "mlp_dim": 3072},
    "L": {"hidden_size": 1024, "num_layers": 24, "num_heads": 16, "mlp_dim": 4096},
    "H": {"hidden_size": 1280, "num_layers": 32, "num_heads": 16, "mlp_dim": 5120},
}


@dataclasses.dataclass(frozen=True)
class ViViTConfig(BaseConfig):
    """A ViViT, completely described. Section numbers are those of Arnab et al. 2021.

    Attributes:
      factorisation: what attends to what (Sec. 3.3): `spatio_temporal_attention` (Model 1), `factorised_encoder` (Model 2),
        `factorised_self_attention` (Model 3) or `factorised_dot_product_attention` (Model 4).
      size: a backbone by name (Ti, S, B, L, H); the four widths below override it one by one, and are filled in from it.
      hidden_size: width d of a token.
      num_layers: encoder layers; for the factorised encoder, those of the spatial encoder.
      num_heads: attention heads; must divide `hidden_size`, and be even for Model 4.
      mlp_dim: hidden width of the MLPs.
      temporal_layers: layers of Model 2's temporal encoder; 0 averages the frames instead (Table 2, last row).
      temporal_heads: the attention heads of Model 2's temporal encoder; None for those of the spatial encoder.
      temporal_mlp_dim: the hidden width of the MLPs of Model 2's temporal encoder; None for that of the spatial encoder.
      tokenizer: `tubelet` embeds blocks of `tubelet` pixels; `frames` samples frames uniformly and embeds each alone (Sec. 3.2).
      tubelet: (t, h, w) in frames and pixels. Under `frames`, t only sets how many frames are sampled: clip t / tubelet t.
      sampled_frames: under `frames`, the number of frames if it is not clip t / tubelet t.
      clip: (t, h, w) of the input video, in frames and pixels.
      num_classes: outputs of the head, or of several heads by name, as `{"verb": 97, "noun": 300}`; None for no head: the model
        then returns its features.
      pool: how tokens become one feature: `token` (a learned cls token), `mean`, `max` or `sum` of the normalised tokens, or
        `mean_then_norm`, which normalises their mean (VideoMAE). Models 3 and 4 have no cls token.
      attention_order: in each block of Model 3, `space_time` or `time_space`.
      activation: the activation of the MLPs: `gelu_tanh` (Scenic's) or `gelu` (exact, by erf).
      norm_eps: the epsilon of every LayerNorm.
      last_norm_eps: the epsilon of the LayerNorm at the end of an encoder if it differs, as in Hugging Face's VideoMAE; None for
        `norm_eps`.
      dropout: rate of dropout after the position embedding, each attention projection and each MLP layer.
      attention_dropout: rate of dropout on the attention weights; it needs `attention` `xla` or `auto`.
      stochastic_depth: rate at which the last layer drops a residual; rates rise linearly with depth from 0, and each example and residual
        is drawn by itself (Huang et al. 2016).
      stochastic_depth_rescale: whether to divide a kept residual by the probability that it is kept; Scenic does not.
      stochastic_depth_skips: compute nothing for the examples that a residual drops, which saves memory (docs/training.md). Each layer then
        drops the number of a device's examples that is nearest to its rate (DINOv2, Oquab et al. 2024), or if that is 0 draws as without
        this key. `scan_layers` must be false.
      patch_dropout: share of the tokens that training leaves out, drawn for each clip and step (Liu et al. 2023); evaluation sees all.
      patch_dropout_by: what is left out: a `token` by itself, or a `tube`, the same place at all times; None for `token` in Models 1 and 2,
        and `tube` in Models 3 and 4, which attend to a place at all its times.
      dtype: the type of the computation: `float32`, `bfloat16` or `auto` (bfloat16 on accelerators, float32 on a CPU, where it is
        faster); parameters, softmax statistics and logits are float32.
      attention: backend of the attention products: `auto`, `xla` (the plain definition), `chunked` (less memory), `cudnn` or `fa3`
        (FlashAttention-3, of the extra `fa3`; Hopper GPUs). On a GPU `auto`, `cudnn` and `fa3` also run our kernels for attention over
        time, LayerNorm and GELU; the other two leave these to XLA.
      remat: recompute each layer in the backward pass instead of keeping its activations.
      scan_layers: run the layers as one `nn.scan`, which compiles faster; parameters then carry a leading layer axis.

    Raises:
      UserError: when the values contradict each other.
    """

    family: ClassVar[str] = "vivit"

    factorisation: str = "spatio_temporal_attention"
    size: str | None = None
    hidden_size: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    mlp_dim: int | None = None
    temporal_layers: int = 4
    temporal_heads: int | None = None
    temporal_mlp_dim: int | None = None
    tokenizer: str = "tubelet"
    tubelet: tuple[int, int, int] = (2, 16, 16)
    sampled_frames: int | None = None
    clip: tuple[int, int, int] = (32, 224, 224)
    num_classes: int | Mapping[str, int] | None = None
    pool: str | None = None
    attention_order: str = "space_time"
    activation: str = "gelu_tanh"
    norm_eps: float = 1e-6
    last_norm_eps: float | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    stochastic_depth_rescale: bool = False
    stochastic_depth_skips: bool = False
    patch_dropout: float = 0.0
    patch_dropout_by: str | None = None
    dtype: str = "float32"
    attention: str = "auto"
    remat: bool = False
    scan_layers: bool = False

    def to_dict(self) -> dict:
        """Plain values for JSON, without `last_norm_eps` where there is none: versions before it refuse a model that has the key."""
        values = super().to_dict()
        return {name: value for name, value in values.items() if name != "last_norm_eps" or value is not None}

    def __post_init__(self) -> None:
        self._check_names()
        self._fill_in()
        self._check_numbers()
        self._check_heads()
        self._check_combinations()

    def _check_names(self) -> None:
        check_name("factorisation", self.factorisation, FACTORISATIONS)
        check_name("tokenizer", self.tokenizer, TOKENIZERS)
        check_name("attention_order", self.attention_order, ATTENTION_ORDERS)
        check_name("activation", self.activation, ACTIVATIONS)
        check_name("dtype", self.dtype, DTYPES)
        check_name("attention", self.attention, ATTENTION_BACKENDS)
        for field, known in (("pool", POOLS), ("patch_dropout_by", PATCH_DROPOUTS), ("size", SIZES)):
            if getattr(self, field) is not None:
                check_name(field, getattr(self, field), known)

    def _fill_in(self) -> None:
        """Makes the defaults that depend on other values explicit, so that two equal models compare equal."""
        widths = SIZES.get(self.size, {})
        for field in ("hidden_size", "num_layers", "num_heads", "mlp_dim"):
            value = getattr(self, field)
            if value is None and field not in widths:
                raise UserError(f"model.{field} is not set: give a model.size ({', '.join(SIZES)}) or all four widths")
            self._set(field, widths[field] if value is None else value)
        if self.pool is None:
            self._set("pool", "token" if self.has_cls else "mean")
        for field, spatial in (("temporal_heads", self.num_heads), ("temporal_mlp_dim", self.mlp_dim)):
            if getattr(self, field) == spatial:
                self._set(field, None)
        if self.last_norm_eps == self.norm_eps:
            self._set("last_norm_eps", None)
        self._set("tubelet", tuple(self.tubelet))
        self._set("clip", tuple(self.clip))

    def _check_numbers(self) -> None:
        for field in ("hidden_size", "num_layers", "num_heads", "mlp_dim"):
            check_positive(field, getattr(self, field))
        for field in ("sampled_frames", "temporal_heads", "temporal_mlp_dim"):
            if getattr(self, field) is not None:
                check_positive(field, getattr(self, field))
        for field in ("tubelet", "clip"):
            value = getattr(self, field)
            if len(value) != 3:
                raise UserError(f"model.{field} must be (t, h, w), got {value}")
            for extent in value:
                check_positive(field, extent)
        for field in ("dropout", "attention_dropout", "stochastic_depth", "patch_dropout"):
            check_rate(field, getattr(self, field))
        if self.temporal_layers != 0:
            check_positive("temporal_layers", self.temporal_layers)
        last_norm_eps = self.norm_eps if self.last_norm_eps is None else self.last_norm_eps
        for field, eps in (("norm_eps", self.norm_eps), ("last_norm_eps", last_norm_eps)):
            if not 0 < eps < 1:
                raise UserError(f"model.{field} must be above 0 and below 1, got {eps}")
        for field in ("stochastic_depth_rescale", "stochastic_depth_skips", "remat", "scan_layers"):
            check_flag(field, getattr(self, field))

    def _check_combinations(self) -> None:
        for field in ("num_heads", "temporal_heads"):
            heads = getattr(self, field)
            if heads is not None and self.hidden_size % heads:
                raise UserError(f"model.hidden_size {self.hidden_size} is not divisible by model.{field} {heads}")
        if self.factorisation == "factorised_dot_product_attention" and self.num_heads % 2:
            raise UserError(
                f"factorised_dot_product_attention gives half the heads to time, so model.num_heads must be even, got {self.num_heads}"
            )
        if self.pool == "token" and self.factorisation in (
            "factorised_self_attention",
            "factorised_dot_product_attention",
        ):
            raise UserError(f"{self.factorisation} has no cls token (Sec. 3.3): set model.pool to mean, got token")
        for axis, extent, patch in zip("thw", self.clip, self.tubelet, strict=True):
            if extent % patch and not (axis == "t" and self.sampled_frames is not None):
                raise UserError(
                    f"model.clip {self.clip} is not divisible by model.tubelet {self.tubelet} along {axis}: {extent} % {patch} != 0"
                )
        if self.sampled_frames is not None and self.tokenizer != "frames":
            raise UserError(f"model.sampled_frames needs model.tokenizer frames, got {self.tokenizer}")
        if self.sampled_frames is not None and self.sampled_frames > self.clip[0]:
            raise UserError(f"model.sampled_frames {self.sampled_frames} is more than the {self.clip[0]} frames of model.clip")
        if self.attention_dropout and self.attention not in ("auto", "xla"):
            raise UserError(f"model.attention_dropout {self.attention_dropout} needs model.attention xla or auto, got {self.attention}")
        if self.attention in ("cudnn", "fa3") and self.dtype == "float32":
            raise UserError(
                f"model.attention {self.attention} computes in 16 bits only: set model.dtype to bfloat16 or auto, "
                "or model.attention to auto"
            )
        if self.stochastic_depth_skips and self.scan_layers:
            raise UserError("model.stochastic_depth_skips gives each layer a number of examples of its own: set model.scan_layers to false")
        if self.patch_dropout:
            self._check_patch_dropout()

    def _check_patch_dropout(self) -> None:
        if self.patch_dropout_by == "token" and not self.has_cls:
            raise UserError(
                f"{self.factorisation} attends to a place at all its times, so a place is left out at all of them or at none: set "
                "model.patch_dropout_by to tube, got token"
            )
        if self.pool == "sum":
            raise UserError("model.pool sum adds up fewer tokens in training than in evaluation under model.patch_dropout: set it to mean")
        if self.kept_patches.kept == self.kept_patches.places:
            raise UserError(
                f"model.patch_dropout {self.patch_dropout} leaves out none of {self.kept_patches.places} places: raise it, or set it to 0"
            )

    @property
    def has_cls(self) -> bool:
        """Whether this factorisation can have a cls token."""
        return self.factorisation in ("spatio_temporal_attention", "factorised_encoder")

    @property
    def grid(self) -> tuple[int, int, int]:
        """(n_t, n_h, n_w): tokens along time, height and width."""
        time, height, width = (extent // patch for extent, patch in zip(self.clip, self.tubelet, strict=True))
        return (self.sampled_frames or time, height, width)

    @property
    def kept_patches(self) -> PatchDropout | None:
        """The tokens that a training step keeps, of the sequences over space; None for all."""
        if not self.patch_dropout:
            return None
        times, height, width = self.grid
        tubes = self.patch_dropout_by == "tube" or not self.has_cls
        places, repeats, own = height * width, 1, int(self.pool == "token")
        if self.factorisation == "spatio_temporal_attention":
            places, repeats = (places, times) if tubes else (places * times, 1)
        kept = count_kept(self.patch_dropout, places, repeats=repeats, own=own)
        return PatchDropout(places, kept, repeats, alike=tubes, own=own)
