"""LoRA (Hu et al. 2022): a kernel stays as it is, and its sum with the product of two thin matrices is used in its place.

The adapters lie beside their kernel in the tree of parameters, as `kernel` W and `lora` with `a` (*in, r), `b` (r, *out) and `scale` ();
for scanned layers each has a leading axis of layers. Every model takes `merged` parameters, W + scale a b with scale = alpha / r, and the
model directory holds these, so that nobody outside training sees an adapter. `b` begins as zero: the first step starts from W.

The gradient of a whole kernel is still computed, a layer at a time, before it becomes that of `a` and `b`. This saves memory for
the optimiser and the gradients, not for activations.
"""

import re
import zlib
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vivit_jax.errors import UserError
from vivit_jax.models.families import ModelConfig, family_of
from vivit_jax.training.config import LoraConfig
from vivit_jax.training.paths import compiled, layer_names, leaf_names, named_leaves, some_names

ADAPTERS = ("/lora/a", "/lora/b")
SCALE = "/lora/scale"  # of an adapter: it is kept beside a and b, and is no parameter of the model
TO_HEADS = re.compile(r"/(query|key|value)/kernel$")  # (d, k, f): one dimension in; any other kernel has one dimension out


def with_adapters(params: Mapping, config: LoraConfig, seed: int) -> dict:
    """The parameters, on the host, with fresh adapters beside the kernels that `config.layers` matches; as they are where rank is 0.

    Raises:
      UserError: for a pattern that matches no kernel, or some of the layers that are scanned.
    """
    if not config.rank:
        return dict(params)
    pattern, found = compiled("training.lora.layers", config.layers), []

    def adapted(node: Mapping, path: str) -> dict:
        children = {name: adapted(child, f"{path}/{name}") if isinstance(child, Mapping) else child for name, child in node.items()}
        name, kernel = f"{path}/kernel".lstrip("/"), node.get("kernel")
        matches = [] if kernel is None else [bool(pattern.search(layer)) for layer in layer_names(name, kernel.shape)]
        if not any(matches):
            return children
        if not all(matches):
            raise UserError(
                f"training.lora.layers {config.layers!r} matches {sum(matches)} of the {len(matches)} layers of {name}, and scanned layers "
                "have adapters together: set model.scan_layers to False, or match all of them"
            )
        found.append(name)
        return children | {"lora": _adapter(name, kernel.shape, config, seed)}

    tree = adapted(params, "")
    if not found:
        kernels = [name for name in leaf_names(params) if name.endswith("kernel")]
        raise UserError(f"training.lora.layers {config.layers!r} matches no kernel (kernels are named as {', '.join(kernels[:4])})")
    return tree


def check_full(config: LoraConfig, params: Mapping) -> None:
    """Refuses a `config.full` that matches none of the parameters; raises a `UserError` with some of their names."""
    if not config.rank or config.full is None:
        return
    full = compiled("training.lora.full", config.full)
    if not any(full.search(name) for path, leaf in named_leaves(params) for name in layer_names(path, leaf.shape)):
        raise UserError(
            f"training.lora.full {config.full!r} matches no parameter (parameters are named as {some_names(params)}); None trains the "
            "adapters alone"
        )


def merged(params: Mapping) -> Mapping:
    """The parameters as a model takes them: each adapter added to its kernel. A tree without adapters comes back as it is."""
    if not any(path.endswith(SCALE) for path in leaf_names(params)):
        return params

    def without(node: Mapping) -> dict:
        children = {name: without(child) if isinstance(child, Mapping) and name != "lora" else child for name, child in node.items()}
        adapter = children.pop("lora", None)
        if adapter is not None:
            children["kernel"] = children["kernel"] + _product(adapter).reshape(children["kernel"].shape)
        return children

    return without(params)


def trained_by(config: LoraConfig, model: ModelConfig) -> Callable[[str], bool]:
    """Whether a parameter of `model` is trained, by its path.

    Raises:
      UserError: for a pattern that is no regular expression.
    """
    frozen = family_of(model).frozen
    if not config.rank:
        return lambda path: not frozen(path)
    full = None if config.full is None else compiled("training.lora.full", config.full)

    def in_full(path: str) -> bool:
        return full is not None and not path.endswith(SCALE) and bool(full.search(path))

    return lambda path: not frozen(path) and (path.endswith(ADAPTERS) or in_full(path))


def _adapter(name: str, shape: tuple[int, ...], config: LoraConfig, seed: int) -> dict[str, np.ndarray]:
    """A fresh adapter of a kernel; for scanned layers, those that each would have by itself, stacked."""
    layers, shape = (shape[:1], shape[1:]) if "/blocks/" in name else ((), shape)
    inputs = 1 if TO_HEADS.search(f"/{name}") else len(shape) - 1
    bound = 1 / np.sqrt(np.prod(shape[:inputs]))
    draws = [
        np.random.default_rng([seed, zlib.crc32(layer.encode())]).uniform(-bound, bound, (*shape[:inputs], config.rank))
        for layer in layer_names(name, (*layers, *shape))
    ]
    return {
        "a": np.stack(draws).reshape(*layers, *shape[:inputs], config.rank).astype(np.float32),
        "b": np.zeros((*layers, config.rank, *shape[inputs:]), np.float32),
        "scale": np.full(layers, config.alpha / config.rank, np.float32),
    }


def _product(adapter: Mapping) -> Array:
    """scale a b as (..., in, out), all dimensions in and all out made one each. The axes of `scale`, of layers or devices, come first."""
    scale = jnp.asarray(adapter["scale"])
    a = jnp.asarray(adapter["a"])
    a = a.reshape(*scale.shape, -1, a.shape[-1])
    b = jnp.asarray(adapter["b"]).reshape(*scale.shape, a.shape[-1], -1)
    return scale[..., None, None] * jnp.matmul(a, b, precision="highest")
