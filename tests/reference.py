"""ViViT in NumPy and float64, written from the paper alone: the truth that the Flax modules are tested against.

It shares no code with the package and prefers explicit loops over groups of tokens to reshapes, so that it can be checked by eye against
Section 3 of the paper. Only the names of the parameters are the package's.
"""

import math

import numpy as np


def forward(params: dict, video: np.ndarray, config: dict) -> np.ndarray:
    """Logits (b, classes) of clips (b, t, h, w, 3), one clip at a time.

    In training `config["factors"]` holds what dropout and stochastic depth multiply activations by, (b, ...) by name, and
    `config["kept"]` the patches that are not left out, bool (b, t, s).
    """
    return np.stack([_forward_clip(params, clip, _of_row(config, row)) for row, clip in enumerate(video.astype(np.float64))])


def _of_row(config: dict, row: int) -> dict:
    """The config of one clip of a batch, or of one frame of a clip."""
    kept = {"kept": config["kept"][row]} if "kept" in config else {}
    return config | kept | {"factors": {name: x[row if len(x) > 1 else 0] for name, x in config.get("factors", {}).items()}}


def _drawn(x: np.ndarray, config: dict, *names: str) -> np.ndarray:
    for name in names:
        x = x * config["factors"].get(name, 1.0)
    return x


def _forward_clip(params: dict, clip: np.ndarray, config: dict) -> np.ndarray:
    tokens = _tokenize(params["tokenizer"], clip, config)
    transformer = params["transformer"]
    name = config["factorisation"]
    if name == "spatio_temporal_attention":
        feature = _encode(transformer, "encoder", tokens.reshape(-1, tokens.shape[-1]), config)
    elif name == "factorised_encoder":
        spatial = [_encode(transformer, "spatial_encoder", frame, _of_row(config, row)) for row, frame in enumerate(tokens)]
        frames = np.stack(spatial)
        temporal = config["temporal_layers"]
        config = {key: value for key, value in config.items() if key != "kept"}
        feature = _encode(transformer, "temporal_encoder", frames, config) if temporal else frames.mean(axis=0)
    else:
        feature = _encode_grid(transformer["encoder"], tokens, config)
    return feature @ params["head"]["kernel"] + params["head"]["bias"]


def _tokenize(params: dict, clip: np.ndarray, config: dict) -> np.ndarray:
    """(t, h, w, 3) to (n_t, n_h n_w, d)."""
    time, height, width = config["tubelet"]
    if config.get("tokenizer", "tubelet") == "frames":
        total, wanted = clip.shape[0], clip.shape[0] // time
        clip = clip[[round(i * total / (wanted + 1)) for i in range(1, wanted + 1)]]
        time = 1
    rows = []
    for t in range(0, clip.shape[0], time):
        row = []
        for i in range(0, clip.shape[1], height):
            for j in range(0, clip.shape[2], width):
                block = clip[t : t + time, i : i + height, j : j + width]
                row.append(np.tensordot(block, params["kernel"], axes=4) + params["bias"])
        rows.append(row)
    return np.array(rows)


def _encode(params: dict, name: str, tokens: np.ndarray, config: dict) -> np.ndarray:
    """A sequence (n, d) to its feature (d)."""
    if config["pool"] == "token":
        tokens = np.concatenate([params[f"{name}_cls"][None], tokens])
    encoder = params[name]
    x = _drawn(tokens + encoder["position"], config, f"{name}/position")
    if "kept" in config:
        kept = config["kept"].ravel()
        x = x[[*range(len(x) - len(kept)), *(len(x) - len(kept) + np.flatnonzero(kept))]]
    for number, block in enumerate(_blocks(encoder)):
        at = f"{name}/{number}"
        mixed = _self_attention(block["attention"], _norm(block["norm_attention"], x), config)
        x = x + _drawn(mixed, config, f"{at}/attention/dropout", f"{at}/attention/depth")
        x = x + _mlp(block, x, config, at)
    if config["pool"] == "mean_then_norm":
        return _norm(encoder["norm"], x.mean(axis=0))
    x = _norm(encoder["norm"], x)
    return x[0] if config["pool"] == "token" else _pool(x, config)


def _encode_grid(encoder: dict, tokens: np.ndarray, config: dict) -> np.ndarray:
    """A grid (t, s, d) to its feature (d), for Models 3 and 4."""
    x = _drawn(tokens + encoder["position"], config, "encoder/position")
    x = x[:, config["kept"][0]] if "kept" in config else x
    for number, block in enumerate(_blocks(encoder)):
        at = f"encoder/{number}"
        if config["factorisation"] == "factorised_self_attention":
            order = ("spatial", "temporal") if config.get("attention_order", "space_time") == "space_time" else ("temporal", "spatial")
            for kind in order:
                y = _norm(block[f"norm_{kind}_attention"], x)
                mixed = np.empty_like(y)
                for index in range(y.shape[0] if kind == "spatial" else y.shape[1]):
                    group = (index, slice(None)) if kind == "spatial" else (slice(None), index)
                    mixed[group] = _self_attention(block[f"{kind}_attention"], y[group], config)
                x = x + _drawn(mixed, config, f"{at}/{kind}_attention/dropout", f"{at}/{kind}_attention/depth")
        else:
            mixed = _dot_product_factorised(block["attention"], _norm(block["norm_attention"], x), config)
            x = x + _drawn(mixed, config, f"{at}/attention/dropout", f"{at}/attention/depth")
        x = x + _mlp(block, x, config, at)
    if config["pool"] == "mean_then_norm":
        return _norm(encoder["norm"], x.reshape(-1, x.shape[-1]).mean(axis=0))
    return _pool(_norm(encoder["norm"], x).reshape(-1, x.shape[-1]), config)


def _dot_product_factorised(params: dict, x: np.ndarray, config: dict) -> np.ndarray:
    """The first half of the heads attends over time at each place, the second over space at each time."""
    mixed = np.zeros((*x.shape[:2], *params["query"]["kernel"].shape[1:]))
    for head in range(config["num_heads"]):
        temporal = head < config["num_heads"] // 2
        for index in range(x.shape[1] if temporal else x.shape[0]):
            group = (slice(None), index) if temporal else (index, slice(None))
            mixed[(*group, head)] = _head(params, x[group], head)
    return np.einsum("tskf,kfd->tsd", mixed, params["out"]["kernel"]) + params["out"]["bias"]


def _self_attention(params: dict, x: np.ndarray, config: dict) -> np.ndarray:
    heads = [_head(params, x, head) @ params["out"]["kernel"][head] for head in range(config["num_heads"])]
    return sum(heads) + params["out"]["bias"]


def _head(params: dict, x: np.ndarray, head: int) -> np.ndarray:
    """One head's softmax(q k^T / sqrt f) v, (n, d) to (n, f)."""
    query, key, value = (x @ params[name]["kernel"][:, head] + params[name]["bias"][head] for name in ("query", "key", "value"))
    scores = query @ key.T / math.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


def _mlp(block: dict, x: np.ndarray, config: dict, at: str) -> np.ndarray:
    mlp = block["mlp"]
    hidden = _norm(block["norm_mlp"], x) @ mlp["in"]["kernel"] + mlp["in"]["bias"]
    hidden = _drawn(_gelu(hidden, config), config, f"{at}/mlp/hidden")
    return _drawn(hidden @ mlp["out"]["kernel"] + mlp["out"]["bias"], config, f"{at}/mlp/dropout", f"{at}/mlp/depth")


def _gelu(x: np.ndarray, config: dict) -> np.ndarray:
    if config.get("activation", "gelu_tanh") == "gelu":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _norm(params: dict, x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps) * params["scale"] + params["bias"]


def _pool(x: np.ndarray, config: dict) -> np.ndarray:
    return {"mean": np.mean, "max": np.max, "sum": np.sum}[config["pool"]](x, axis=0)


def _blocks(encoder: dict) -> list[dict]:
    return [encoder[name] for name in sorted(encoder) if name.startswith("block_")]
