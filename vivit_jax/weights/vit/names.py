"""Tables of names: each row says which tensors of a source become which of our parameters, and how.

A format is a table to be read from top to bottom. A row whose target is None is a tensor that a ViViT has no place for, with the reason.
Every tensor of the source must be matched by exactly one row, and every parameter filled exactly once.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.weights.parameters import misshapen, missing, summary
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.vit.backbone import Params, block_shapes, depth

Transform = Callable[[np.ndarray, int], np.ndarray | tuple[np.ndarray, ...]]


def as_is(x: np.ndarray, heads: int) -> np.ndarray:
    """The tensor as it is."""
    return x


def flat(x: np.ndarray, heads: int) -> np.ndarray:
    """(1, ..., d) to (d)."""
    return x.reshape(x.shape[-1])


def rows(x: np.ndarray, heads: int) -> np.ndarray:
    """(1, n, d) to (n, d)."""
    return x.reshape(x.shape[-2:])


def image_kernel(x: np.ndarray, heads: int) -> np.ndarray:
    """(h, w, 3, d), or (t, h, w, 3, d), to the latter."""
    return x if x.ndim == 5 else x[None]


def torch_image_kernel(x: np.ndarray, heads: int) -> np.ndarray:
    """(d, 3, h, w) to (1, h, w, 3, d)."""
    return x.transpose(2, 3, 1, 0)[None]


def torch_video_kernel(x: np.ndarray, heads: int) -> np.ndarray:
    """(d, 3, t, h, w) to (t, h, w, 3, d)."""
    return x.transpose(2, 3, 4, 1, 0)


def dense(x: np.ndarray, heads: int) -> np.ndarray:
    """(out, in) to (in, out)."""
    return x.T


def heads_in(x: np.ndarray, heads: int) -> np.ndarray:
    """(k f, d) to (d, k, f)."""
    return x.T.reshape(x.shape[1], heads, -1)


def heads_in_bias(x: np.ndarray, heads: int) -> np.ndarray:
    """(k f) to (k, f)."""
    return x.reshape(heads, -1)


def heads_out(x: np.ndarray, heads: int) -> np.ndarray:
    """(d, k f) to (k, f, d)."""
    return x.T.reshape(heads, -1, x.shape[0])


def fused_heads_in(x: np.ndarray, heads: int) -> tuple[np.ndarray, ...]:
    """(3 k f, d) to query, key and value of (d, k, f)."""
    return tuple(heads_in(part, heads) for part in np.split(x, 3))


def fused_heads_in_bias(x: np.ndarray, heads: int) -> tuple[np.ndarray, ...]:
    """(3 k f) to query, key and value of (k, f)."""
    return tuple(heads_in_bias(part, heads) for part in np.split(x, 3))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
      source: a regular expression for the whole name of a tensor.
      target: our parameter, or several; `{0}`, `{1}` are the expression's groups, numbers as numbers.
      transform: makes the parameter or parameters of the tensor and the number of heads.
      reason: why the tensor is left out, if the target is None.
    """

    source: str
    target: str | tuple[str, ...] | None
    transform: Transform = as_is
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Translation:
    """A source's tensors under our names.

    Attributes:
      params: the parameters by our path.
      origin: the name of each of them in the source.
      dropped: groups that a ViViT has no place for, with the reason.
      unknown: tensors that no row matches.
    """

    params: Params
    origin: dict[str, str]
    dropped: dict[str, str]
    unknown: tuple[str, ...]


def torch_norm(source: str, target: str) -> tuple[Row, Row]:
    """The rows of a torch LayerNorm."""
    return Row(source + r"\.weight", target + "/scale"), Row(source + r"\.bias", target + "/bias")


def torch_linear(source: str, target: str, kernel: Transform = dense, bias: Transform = as_is) -> tuple[Row, Row]:
    """The rows of a torch linear map or convolution."""
    return Row(source + r"\.weight", target + "/kernel", kernel), Row(source + r"\.bias", target + "/bias", bias)


def torch_query_key_value(source: str, target: str) -> tuple[Row, Row]:
    """The rows of torch's one linear map to query, key and value."""
    parts = [f"{target}/{part}" for part in ("query", "key", "value")]
    return (
        Row(source + r"\.weight", tuple(f"{part}/kernel" for part in parts), fused_heads_in),
        Row(source + r"\.bias", tuple(f"{part}/bias" for part in parts), fused_heads_in_bias),
    )


def refuse(tensors: Tensors, reasons: Iterable[tuple[str, str]], what: str) -> None:
    """Refuses a source by the first of its names that a ViViT cannot express.

    Args:
      tensors: the tensors of the source.
      reasons: (regular expression found in a name, why such a model cannot become a ViViT).
      what: the source, for the error.
    """
    for pattern, reason in reasons:
        name = next((name for name in tensors if re.search(pattern, name)), None)
        if name is not None:
            raise UserError(f"{what}: {reason} (it holds {name} {tensors.shapes[name]})")


def translate(tensors: Tensors, table: Iterable[Row], num_heads: int) -> Translation:
    """Applies a table. What no row matches is collected, for `check_complete` to refuse together with what is missing.

    Raises:
      UserError: for two tensors that claim the same parameter, or a tensor whose shape cannot be transformed.
    """
    table = [(re.compile(row.source), row) for row in table]
    params, origin, dropped, unknown = {}, {}, {}, []
    for name, shape in tensors.shapes.items():
        match, row = next(((match, row) for pattern, row in table if (match := pattern.fullmatch(name))), (None, None))
        if row is None:
            unknown.append(f"{name} {shape}")
        elif row.target is None:
            dropped[name] = row.reason
        else:
            _fill(params, origin, _targets(row, match), _transformed(row, tensors, name, num_heads), name)
    return Translation(params, origin, dropped, tuple(unknown))


def check_complete(translation: Translation, what: str, heads: int, *, optional_biases: bool = False) -> Params:
    """The parameters, once it is sure that no tensor is unknown and every block is whole.

    Args:
      translation: the tensors of the source under our names.
      what: the source, for the error.
      heads: attention heads.
      optional_biases: fill with zeros the biases of query, key and value where the source has none of them.

    Raises:
      UserError: listing both sides with their shapes.
    """
    params = dict(translation.params)
    if optional_biases:
        _fill_biases(params)
    expected = _expected(params, heads)
    given = {name: array.shape for name, array in params.items()}
    problems = {
        "tensors that no parameter takes": translation.unknown,
        "parameters that no tensor fills": missing(given, expected),
        "of another shape": misshapen(given, expected),
    }
    if any(problems.values()):
        raise UserError(f"{what}: the tensors are not those of a vision transformer; {summary(problems)}")
    return params


def fold_layer_scale(params: Params) -> Params:
    """The parameters with LayerScale (Touvron et al. 2021), a factor on each residual branch, multiplied into the projection before it."""
    folded = dict(params)
    for name in [name for name in params if name.endswith("/layer_scale")]:
        branch, gamma = name.removesuffix("/layer_scale"), folded.pop(name)
        for leaf in ("kernel", "bias"):
            if f"{branch}/out/{leaf}" in folded:
                folded[f"{branch}/out/{leaf}"] = folded[f"{branch}/out/{leaf}"] * gamma
    return folded


def _targets(row: Row, match: re.Match) -> tuple[str, ...]:
    groups = [int(group) if group and group.isdigit() else group for group in match.groups()]
    targets = (row.target,) if isinstance(row.target, str) else row.target
    return tuple(target.format(*groups) for target in targets)


def _transformed(row: Row, tensors: Tensors, name: str, num_heads: int) -> tuple[np.ndarray, ...]:
    tensor = tensors[name]
    try:
        value = row.transform(tensor, num_heads)
    except (ValueError, IndexError):
        raise UserError(
            f"{tensors.path}: {name} {tensors.shapes[name]} does not have the shape that its name implies, with {num_heads} attention heads"
        ) from None
    # Contiguous, so that views do not keep the source's arrays alive beside ours.
    return tuple(map(np.ascontiguousarray, value if isinstance(value, tuple) else (value,)))


def _fill(params: Params, origin: dict[str, str], targets: tuple[str, ...], values: tuple[np.ndarray, ...], name: str) -> None:
    for target, value in zip(targets, values, strict=True):
        if target in params:
            raise UserError(f"two tensors claim {target}: {origin[target]} and {name}")
        params[target] = value
        origin[target] = name


def _fill_biases(params: Params) -> None:
    """Zeros for absent biases of query, key and value: of all blocks or of none."""
    kernels = [name for name in params if re.search(r"attention/(query|key|value)/kernel$", name)]
    biases = [name.removesuffix("kernel") + "bias" for name in kernels]
    if not any(bias in params for bias in biases):
        params.update({bias: np.zeros(params[kernel].shape[1:], np.float32) for kernel, bias in zip(kernels, biases, strict=True)})


def _expected(params: Params, heads: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all that a backbone must have, by the widths and depths that its parameters show."""
    kernel = params.get("tokenizer/kernel")
    if kernel is None or kernel.ndim != 5:
        return {"tokenizer/kernel": ("t", "h", "w", 3, "d")}
    hidden = kernel.shape[-1]
    expected = {"tokenizer/kernel": (*kernel.shape[:3], 3, hidden), "tokenizer/bias": (hidden,)}
    expected |= {name: (hidden,) for name in ("cls", "temporal_encoder/cls") if name in params}
    for encoder in ("encoder", *(("temporal_encoder",) if depth(params, "temporal_encoder") else ())):
        query = params.get(f"{encoder}/block_00/attention/query/kernel")
        encoder_heads = query.shape[1] if encoder == "temporal_encoder" and query is not None and query.ndim == 3 else heads
        mlp = next((value.shape[-1] for name, value in params.items() if re.match(rf"{encoder}/block_\d+/mlp/in/kernel", name)), 0)
        attentions = ("spatial_attention", "temporal_attention") if _has_two_attentions(params, encoder) else ("attention",)
        expected |= {f"{encoder}/norm/{leaf}": (hidden,) for leaf in ("scale", "bias")}
        for layer in range(max(depth(params, encoder), 1)):
            expected |= block_shapes(f"{encoder}/block_{layer:02d}", attentions, hidden, encoder_heads, mlp)
        position = "position" if encoder == "encoder" else f"{encoder}/position"
        expected[position] = (*params[position].shape[:-1], hidden) if position in params else ("n", hidden)
    for name in [name for name in params if re.fullmatch(r"head(_\w+)?/kernel", name)]:
        expected |= {name: params[name].shape, name.replace("kernel", "bias"): params[name].shape[-1:]}
    return expected


def _has_two_attentions(params: Params, encoder: str) -> bool:
    return any(name.startswith(f"{encoder}/block_") and "/temporal_attention/" in name for name in params)
