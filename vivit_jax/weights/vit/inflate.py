"""Fits one vision transformer to another (Sec. 3.4): kernels over time, positions on another grid, attention of another factorisation.

Every part returns parameters of the model by path and lines for the report; what it leaves out is to be initialised at random.
"""

import re

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import SIZES, ViViTConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.vit.backbone import Backbone, Params
from vivit_jax.weights.vit.positions import resize_positions

Part = tuple[Params, list[ReportLine]]


def transfer(backbone: Backbone, model: ViViTConfig, init: InitConfig) -> Part:
    """All parameters of `model` that come from `backbone`.

    Raises:
      UserError: if the two do not have the same widths, or the head cannot be kept.
    """
    _check_widths(backbone, model)
    parts = (
        tokenizer(backbone, model, init),
        positions(backbone, model, init),
        blocks(backbone, model, init),
        temporal_encoder(backbone, model, init),
        head(backbone, model, init),
    )
    params = {path: array for part, _ in parts for path, array in part.items()}
    lines = [line for _, part_lines in parts for line in part_lines]
    left = [ReportLine(f"({name})", name, f"left out: {reason}") for name, reason in _by_group(backbone.dropped).items()]
    notes = [ReportLine(name, "-", note) for name, note in backbone.notes]
    return params, lines + notes + left


def inflate_kernel(kernel: np.ndarray, length: int, method: str) -> np.ndarray:
    """A tubelet kernel (length, h, w, 3, d) from an image kernel (h, w, 3, d): on a still clip both give the same tokens.

    `central_frame` puts the image kernel in slice length // 2 and zeros elsewhere; `average` puts a share of it in every slice.
    """
    if method == "average":
        return np.repeat(kernel[None] / length, length, axis=0)
    inflated = np.zeros((length, *kernel.shape), kernel.dtype)
    inflated[length // 2] = kernel
    return inflated


def tokenizer(backbone: Backbone, model: ViViTConfig, init: InitConfig) -> Part:
    """The tubelet embedding."""
    kernel, bias = backbone.params["tokenizer/kernel"], backbone.params["tokenizer/bias"]
    length = 1 if model.tokenizer == "frames" else model.tubelet[0]
    if kernel.shape[0] == length:
        return {"tokenizer/kernel": kernel, "tokenizer/bias": bias}, [ReportLine("tokenizer", backbone.called("tokenizer/"), "copied")]
    if init.tubelet == "random":
        return {"tokenizer/bias": bias}, [
            ReportLine("tokenizer/kernel", "-", "random"),
            ReportLine("tokenizer/bias", backbone.called("tokenizer/bias"), "copied"),
        ]
    # Summed over time, a tubelet kernel is the image kernel that it is on a still clip.
    inflated = inflate_kernel(kernel.sum(axis=0), length, init.tubelet)
    where = f"in slice {length // 2} of {length}, zeros elsewhere" if init.tubelet == "central_frame" else f"1/{length} in each slice"
    return (
        {"tokenizer/kernel": inflated, "tokenizer/bias": bias},
        [ReportLine("tokenizer", backbone.called("tokenizer/"), f"{kernel.shape[0]} to {length} frames, {init.tubelet}: {where}")],
    )


def positions(backbone: Backbone, model: ViViTConfig, init: InitConfig) -> Part:
    """The first encoder's positions, and its cls token with the position of that kept apart."""
    source = backbone.params["position"]
    n_t, n_h, n_w = model.grid
    is_factorised = model.factorisation == "factorised_encoder"
    grid, done = _resized(backbone, (1 if is_factorised else n_t, n_h, n_w), init)
    encoder = "transformer/spatial_encoder" if is_factorised else "transformer/encoder"
    rows = grid.reshape(n_t, n_h * n_w, -1) if not model.has_cls else grid.reshape(-1, source.shape[-1])
    grid_of_source = " x ".join(map(str, source.shape[:-1]))
    lines = [ReportLine(f"{encoder}/position", f"{backbone.called('position')} ({grid_of_source})", done)]
    for n_h, n_w in sorted(set(backbone.grids) - {model.grid[1:]}):
        lines.append(ReportLine("(position)", backbone.called(f"grids/{n_h}x{n_w}"), f"left out: ready for a grid of {n_h} x {n_w} only"))
    if model.pool != "token":
        if "cls" in backbone.params:
            lines.append(ReportLine("(cls)", backbone.called("cls"), "left out: the model has no cls token"))
        return {f"{encoder}/position": rows}, lines
    if "cls" not in backbone.params:
        # A cls token that the source lacks starts at zero, as in a fresh model.
        params = {f"{encoder}_cls": np.zeros(source.shape[-1], np.float32)}
        rows = np.concatenate([np.zeros_like(rows[:1]), rows])
        return params | {f"{encoder}/position": rows}, [*lines, ReportLine(f"{encoder}_cls", "-", "zeros: the source has no cls token")]
    rows = np.concatenate([backbone.params["cls_position"][None], rows])
    lines.append(ReportLine(f"{encoder}_cls", backbone.called("cls"), "copied, with its position"))
    return {f"{encoder}/position": rows, f"{encoder}_cls": backbone.params["cls"]}, lines


def blocks(backbone: Backbone, model: ViViTConfig, init: InitConfig) -> Part:
    """The first encoder's blocks and last LayerNorm."""
    target = "transformer/spatial_encoder" if model.factorisation == "factorised_encoder" else "transformer/encoder"
    wants_two = model.factorisation == "factorised_self_attention"
    has_two = backbone.factorisation == "factorised_self_attention"
    source = {path.removeprefix("encoder/"): array for path, array in backbone.params.items() if path.startswith("encoder/")}
    params, temporal = {}, {}
    for path, array in source.items():
        if "temporal_attention" in path:
            temporal[path] = array
            continue
        if wants_two and not has_two:
            path = path.replace("attention", "spatial_attention")
        elif has_two and not wants_two:
            path = path.replace("spatial_attention", "attention")
        params[path] = array
    renamed = "as the spatial one" if wants_two and not has_two else "from the spatial one" if has_two and not wants_two else ""
    lines = [ReportLine(f"{target}/block_*", backbone.called("encoder/block_"), f"copied{', attention ' + renamed if renamed else ''}")]
    if wants_two:
        inner, line = (temporal, "copied") if has_two else temporal_attention(params, init.temporal_attention)
        params |= inner
        lines.append(
            ReportLine(
                f"{target}/block_*/temporal_attention",
                backbone.called("encoder/block_") if has_two or init.temporal_attention == "copy" else "-",
                line,
            )
        )
    elif temporal:
        lines.append(ReportLine("(temporal_attention)", backbone.called("encoder/block_"), f"left out: {model.factorisation} has none"))
    lines.append(ReportLine(f"{target}/norm", backbone.called("encoder/norm"), "copied"))
    return {f"{target}/{path}": array for path, array in params.items()}, lines


def temporal_attention(blocks: Params, method: str) -> tuple[Params, str]:
    """Model 3's temporal attention for blocks that have only a spatial one; its LayerNorm starts fresh.

    `zero_output` leaves query, key and value random and makes the output projection zero: the block computes what it did before, and the
    output projection has a gradient from the first step, the others from the second. With `zero`, as in the paper and Scenic, only the
    output bias ever has one.
    """
    params = {}
    for path, array in blocks.items():
        if "/spatial_attention/" not in path:
            continue
        if method == "copy":
            params[path.replace("spatial", "temporal")] = array
        elif method == "zero" or "/out/" in path:
            params[path.replace("spatial", "temporal")] = np.zeros_like(array)
    done = {
        "zero_output": "output projection zero; query, key and value random",
        "zero": "zero",
        "copy": "copied from the spatial one, its LayerNorm fresh",
    }
    return params, done[method]


def temporal_encoder(backbone: Backbone, model: ViViTConfig, init: InitConfig) -> Part:
    """Model 2's second encoder: the source's if that is a Model 2 of as many temporal layers, else random."""
    name = "transformer/temporal_encoder"
    has, wants = backbone.temporal_layers, model.temporal_layers if model.factorisation == "factorised_encoder" else 0
    if not wants:
        left = ReportLine("(temporal_encoder)", backbone.called("temporal_encoder/block_"), "left out: the model has none")
        return {}, [left] if has else []
    if not has:
        return {}, [ReportLine(name, "-", "random")]
    _check_temporal_widths(backbone, model)
    inner = {
        path.removeprefix("temporal_encoder/"): array for path, array in backbone.params.items() if path.startswith("temporal_encoder/")
    }
    rows = inner.pop("position")
    method = init.position_resize or backbone.position_resize
    resized = resize_positions(rows, (model.grid[0],), method)
    done = "copied" if len(rows) == len(resized) else f"copied, positions {len(rows)} to {len(resized)} by {method} resizing"
    cls, cls_position = inner.pop("cls", None), inner.pop("cls_position", None)
    params = {f"{name}/{path}": array for path, array in inner.items()}
    if model.pool == "token":
        has_cls = cls is not None
        params[f"{name}_cls"] = cls if has_cls else np.zeros(rows.shape[-1], np.float32)
        resized = np.concatenate([(cls_position if has_cls else np.zeros_like(rows[0]))[None], resized])
        done += "" if has_cls else "; cls zeros"
    return params | {f"{name}/position": resized}, [ReportLine(name, backbone.called("temporal_encoder/block_"), done)]


def head(backbone: Backbone, model: ViViTConfig, init: InitConfig) -> Part:
    """The classification heads: kept, or left to start at zero."""
    kernels = {path: array for path, array in backbone.params.items() if path.startswith("head")}
    if init.head != "keep":
        reason = backbone.why_headless or "the head is fresh"
        left = [ReportLine("(head)", backbone.called("head"), f"left out: {reason}")] if kernels or backbone.why_headless else []
        return {}, [*([ReportLine("head", "-", "zeros")] if model.heads else []), *left]
    if backbone.why_headless or not kernels:
        raise UserError(f"{backbone.name}: the head cannot be kept: {backbone.why_headless or 'the source has none'}; set head to fresh")
    if backbone.factorisation == model.factorisation and backbone.pool != model.pool:
        raise UserError(
            f"{backbone.name}: the head cannot be kept: it reads tokens pooled by {backbone.pool}, and the model pools by {model.pool}: "
            f"set pool to {backbone.pool}, or head to fresh"
        )
    wanted = {f"head_{name}" if name else "head": count for name, count in model.heads.items()}
    given = {path.split("/")[0]: array.shape[-1] for path, array in kernels.items()}
    if given == wanted:
        return kernels, [ReportLine(name, backbone.called(f"{name}/"), "copied") for name in wanted]
    if set(given) == {"head"} and given["head"] == sum(wanted.values()) and len(wanted) > 1:
        ends = np.cumsum(list(wanted.values()))[:-1]
        split = {
            f"{name}/{leaf}": part
            for leaf in ("kernel", "bias")
            for name, part in zip(wanted, np.split(kernels[f"head/{leaf}"], ends, axis=-1), strict=True)
        }
        return split, [ReportLine(name, backbone.called("head/"), "split off, in the order of the heads") for name in wanted]
    raise UserError(f"{backbone.name}: the head cannot be kept: it has {given}, the model {wanted} classes; set head to fresh")


def _resized(backbone: Backbone, grid: tuple[int, int, int], init: InitConfig) -> tuple[np.ndarray, str]:
    """The source's positions on another grid, and how they were made. They are averaged over time where the grid has none."""
    source = backbone.params["position"]
    method = init.position_resize or backbone.position_resize
    if grid[1:] in backbone.grids and source.shape[1:3] != grid[1:]:
        source = backbone.grids[grid[1:]][None]
        done = [f"the source's own for a grid of {grid[1]} x {grid[2]}"]
    elif source.shape[1:3] != grid[1:]:
        done = [f"{source.shape[1]} x {source.shape[2]} to {grid[1]} x {grid[2]} by {method} resizing"]
        source = resize_positions(source, (source.shape[0], *grid[1:]), method)
    else:
        done = []
    if source.shape[0] == grid[0]:
        return source, ", ".join(done) or "copied"
    if source.shape[0] == 1:
        return np.repeat(source, grid[0], axis=0), ", ".join([*done, f"repeated {grid[0]} times"])
    if grid[0] == 1:
        return source.mean(axis=0, keepdims=True), ", ".join([*done, f"averaged over {source.shape[0]} times"])
    done.append(f"{source.shape[0]} to {grid[0]} times by {method} resizing")
    return resize_positions(source, grid, method), ", ".join(done)


def _check_widths(backbone: Backbone, model: ViViTConfig) -> None:
    widths = {name: getattr(backbone, name) for name in ("hidden_size", "num_layers", "num_heads", "mlp_dim")}
    have = widths | {"tubelet": (model.tubelet[0], *backbone.patch)}
    if backbone.factorisation == model.factorisation == "factorised_self_attention" and backbone.attention_order:
        have["attention_order"] = backbone.attention_order
    differ = [name for name, value in have.items() if value != getattr(model, name)]
    if differ:
        size = next((f" (a ViT-{size}/{backbone.patch[0]})" for size, known in SIZES.items() if known == widths), "")
        raise UserError(
            f"{backbone.name} does not fit the model, which has {', '.join(f'{name} {getattr(model, name)}' for name in differ)}: "
            f"set {', '.join(f'model.{name} to {have[name]}' for name in differ)} as in the source{size}"
        )


def _check_temporal_widths(backbone: Backbone, model: ViViTConfig) -> None:
    wanted = {
        "temporal_layers": model.temporal_layers,
        "temporal_heads": model.temporal_heads or model.num_heads,
        "temporal_mlp_dim": model.temporal_mlp_dim or model.mlp_dim,
    }
    for name, value in wanted.items():
        if getattr(backbone, name) != value:
            raise UserError(f"{backbone.name} has {name} {getattr(backbone, name)}, the model {value}: set model.{name} as in the source")


def _by_group(dropped: dict[str, str]) -> dict[str, str]:
    """Names with the same reason and the same first part, as one."""
    groups = {}
    for name, reason in dropped.items():
        groups.setdefault((re.split(r"[/.]", name)[0], reason), []).append(name)
    return {names[0] if len(names) == 1 else f"{first}*": reason for (first, reason), names in groups.items()}
