"""A ViViT's first weights from another vision transformer (Sec. 3.4)."""

import dataclasses

from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.initialise import Initialisation, fresh_variables
from vivit_jax.weights.layers import unflatten_variables
from vivit_jax.weights.parameters import check_parameters, parameter_shapes
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions
from vivit_jax.weights.vit.inflate import transfer
from vivit_jax.weights.vit.source import read_source

# What a source may leave to be initialised at random.
RANDOM = ("head", "tokenizer/kernel", "transformer/temporal_encoder", "temporal_attention")


def initialise(model: ViViTConfig, init: InitConfig, seed: int) -> Initialisation:
    """The weights of `init.source`, made to fit `model`.

    Raises:
      UserError: if the source cannot be read or cannot become `model`.
    """
    return initialise_from(read_source(init.source, _options(model, init)), model, init, seed)


def initialise_from(backbone: Backbone, model: ViViTConfig, init: InitConfig, seed: int) -> Initialisation:
    """`initialise` from a source that is already read."""
    model = dataclasses.replace(
        model,
        activation=init.activation or backbone.activation,
        norm_eps=init.norm_eps or backbone.norm_eps,
        last_norm_eps=None if init.norm_eps else backbone.last_norm_eps,
    )
    mean, std = init.mean or backbone.mean, init.std or backbone.std
    params, lines = transfer(backbone, model, init)
    expected = parameter_shapes(model)
    absent = [path for path in expected if path not in params and any(name in path for name in RANDOM)]
    params |= fresh_variables(model, seed, absent)
    check_parameters({path: array.shape for path, array in params.items()}, expected, backbone.name)
    variables = unflatten_variables({path: params[path] for path in expected}, model)
    report = (*lines, *_facts(backbone, model, init, {"mean": mean, "std": std}))
    return Initialisation(model, variables, mean, std, report, backbone.labels if init.head == "keep" else None)


def _facts(backbone: Backbone, model: ViViTConfig, init: InitConfig, pixels: dict) -> list[ReportLine]:
    """A line for each place where what weights cannot show was read, given or assumed."""
    last = f" (last {model.last_norm_eps:g})" if model.last_norm_eps else ""
    values = {"activation": model.activation, "norm_eps": f"{model.norm_eps:g}{last}", **pixels}
    by_origin = {}
    for name, value in values.items():
        origin = "given" if getattr(init, name) else backbone.stated_in.get(name, "assumed")
        by_origin.setdefault(origin, []).append(f"{'pixel ' if name in pixels else ''}{name} {value}")
    return [ReportLine("(config)", origin, ", ".join(facts)) for origin, facts in by_origin.items()]


def _options(model: ViViTConfig, init: InitConfig) -> SourceOptions:
    """The facts about the source that follow from the model it is to become."""
    return SourceOptions(
        format=init.format,
        num_heads=init.num_heads,
        default_heads=model.num_heads,
        image_size=init.image_size,
        clip=init.source_clip,
        target_clip=model.clip,
        factorisation=model.factorisation,
        frames=model.tokenizer == "frames",
        sampled_frames=model.grid[0],
        attention_order=model.attention_order,
        pool=model.pool,
    )
