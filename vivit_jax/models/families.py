"""The families of models, and the interface by which the rest of the package uses one.

A family is added by one folder here, whose module holds a `FAMILY`, and one line in `FAMILIES`. Every command then works with it: nothing
outside its folder says its name.

The Flax module that a family makes of a config

- takes float video (b, t, h, w, 3), clips of `config.clip` that are normalised as the weights were trained, and `train`;
- returns logits in float32, a dict of them by head, or features (b, d) where the config has no head;
- raises a UserError for a video of another shape or type, or (outside `jit`) with pixels that are not normalised;
- may have collections beside `params`: training keeps what a step writes into them;
- has an attribute `axis_name` if it takes statistics over a batch: the `pmap` axis of the devices that share the batch;
- has an attribute `batch_parts` if it chooses among the examples of a device: the number of devices that the batch it sees lies on.
"""

import dataclasses
import importlib
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from vivit_jax.errors import check_name
from vivit_jax.models.cells import Cells
from vivit_jax.models.layer_outputs import LayerOutput
from vivit_jax.typed import typed

DEFAULT = "vivit"

# Each family's module, imported when the family is asked for.
FAMILIES = {
    "vivit": "vivit_jax.models.vivit.family",
    "fusion_cnn": "vivit_jax.models.fusion_cnn.family",
    "resnet3d": "vivit_jax.models.resnet3d.family",
    "x3d": "vivit_jax.models.x3d.family",
    "probe": "vivit_jax.models.probe.family",
}


class ModelConfig(Protocol):
    """A model, completely described: a frozen dataclass that refuses what cannot be built, with these fields among its own.

    Attributes:
      family: its family's name.
      clip: (t, h, w) of the input video, in frames and pixels.
      num_classes: outputs of the head, or of several heads by name; None for no head: the model then returns its features.
    """

    family: ClassVar[str]
    clip: tuple[int, int, int]
    num_classes: int | Mapping[str, int] | None

    @property
    def heads(self) -> dict[str, int]:
        """Classes of each head by name; a single head has the empty name."""

    @property
    def compute_dtype(self) -> jnp.dtype:
        """The type of the computation on the device at hand."""

    def to_dict(self) -> dict:
        """Plain values for JSON, from which the same config can be made."""


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
      config: the dataclass that describes one of its models, a `ModelConfig`.
      module: the Flax module of a config, as it is described above.
      height: how high a parameter (by its path) stands in the network: 0 next to the pixels, largest at the head. Layer-wise learning
        rates go by it.
      cells: how the features lie over the pixels, for explanations.
      describe: the model in a few words, for tables and reports.
      plain: the same parameters and the same function in the plainest form: float32, one layer after another, no kernels of our own. New
        parameters are drawn, arithmetic is counted and programs are exported in this form.
      as_trained: the plain form, which leaves out in training the examples that the model leaves out: what a training step needs is counted
        in this form. None where `plain` is that.
      portable: the same parameters and the same function, without what asks for one kind of device: how a saved model is loaded.
      outline: the same shapes and arithmetic as `plain`, in the form that JAX traces fastest.
      one_block: the model with only `block_00` in each encoder, and how many blocks like it each has, by the encoder's name: tracing one
        tells the shapes of all. None where a model has no such blocks, or needs all of them.
      order: parts of parameter paths in the order in which a video meets them, for tables.
      features: what the boxes of `cells` are called.
      frozen: whether a parameter, by its path, is never trained. Its gradient is zero, and weight decay must not shrink it either.
      layer_outputs: what each of some layers, counted back from -1, gives for a video, where a family has such layers: statistics over
        time and attentive probes are made of these.
    """

    config: type
    module: Callable[[Any], nn.Module]
    height: Callable[[Any, str], int]
    cells: Callable[[Any], Cells]
    describe: Callable[[Any], str]
    plain: Callable[[Any], Any] = lambda config: config
    as_trained: Callable[[Any], Any] | None = None
    portable: Callable[[Any], Any] = lambda config: config
    outline: Callable[[Any], Any] = lambda config: config
    one_block: Callable[[Any], tuple[Any, dict[str, int]]] | None = None
    order: tuple[str, ...] = ()
    features: str = "features"
    frozen: Callable[[str], bool] = lambda path: False
    layer_outputs: Callable[[nn.Module, Array, tuple[int, ...]], tuple[LayerOutput, ...]] | None = None


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
      UserError: if there is none, with the nearest name.
    """
    check_name("model.family", name, FAMILIES)
    return importlib.import_module(FAMILIES[name]).FAMILY


def family_of(config: ModelConfig) -> Family:
    """The family that a model belongs to."""
    return family_named(config.family)


def build(config: ModelConfig, *, axis_name: str | None = None, batch_parts: int = 1) -> nn.Module:
    """The module of a config.

    Args:
      config: of any family.
      axis_name: where its step runs under `pmap`, the axis of the devices that share a batch.
      batch_parts: where one program sees the whole batch, the number of devices it lies on.
    """
    module = family_of(config).module(config)
    devices = {"axis_name": axis_name, "batch_parts": batch_parts}
    return module.clone(**{name: value for name, value in devices.items() if hasattr(module, name)})


def create_model(*, family: str = DEFAULT, **config: Any) -> nn.Module:
    """A model from the fields of its config.

    Examples:
      >>> model = create_model(factorisation="factorised_encoder", size="B", tubelet=(2, 16, 16), clip=(32, 224, 224), num_classes=400)

    Args:
      family: the model's family, one of `FAMILIES`.
      **config: fields of the family's config, such as `ViViTConfig`.

    Raises:
      UserError: for an unknown family or field, or values that contradict each other.
    """
    return build(make_config(family, config))


def make_config(family: str, values: Mapping[str, Any]) -> ModelConfig:
    """The config of a family from its fields.

    Raises:
      UserError: for an unknown family or field, or values that contradict each other.
    """
    cls = family_named(family).config
    hints, known = typing.get_type_hints(cls), [field.name for field in dataclasses.fields(cls)]
    for name in values:
        check_name("model option", name, known)
    return cls(**{name: typed(hints[name], value, f"model.{name}") for name, value in values.items()})
