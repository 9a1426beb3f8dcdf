"""The original ViViT in NumPy and float64, under its own names: random train states in its layout, and its logits for them.

It is written in the original's terms (`config["model"]` as its config files have it) and shares no code with the package, so that a wrong
name, a wrong transpose and a wrong pooling all show. `test_goldens.py` holds it against the original's own outputs.
"""

import math

import numpy as np

POOLINGS = {"gap": np.mean, "gmp": np.max, "gsp": np.sum}


def model_config(kind, classifier, *, patch=(2, 4, 4), sampled=None, spatial_only=False, order="space_time", temporal=None):
    """`config.model` of a small model; `temporal` are Model 2's temporal widths where they are not the spatial ones."""
    widths = {"num_heads": 2, "mlp_dim": 16, "num_layers": 2}
    attention = {"type": kind} | ({"attention_order": order} if kind == "factorized_self_attention_block" else {})
    time, height, width = patch
    model = {
        "attention_config": attention | ({"spatial_only_baseline": True} if spatial_only else {}),
        "classifier": classifier,
        "hidden_size": 8,
        "patches": {"size": [height, width] if sampled else [height, width, time]},
        "temporal_encoding_config": {"method": "temporal_sampling", "n_sampled_frames": sampled} if sampled else {"method": "3d_conv"},
    }
    if kind == "factorized_encoder":
        return model | {"spatial_transformer": widths, "temporal_transformer": widths | (temporal or {})}
    return model | widths


def random_params(model, shape, classes=3, seed=0):
    """Parameters by name for videos of `shape` (t, h, w), none of them zero."""
    rng = np.random.default_rng(seed)

    def draw(*size):
        return (rng.normal(size=size) * 0.3).astype(np.float32)

    d = model["hidden_size"]
    n_t, n_h, n_w = grid(model, shape)
    patch = _patch(model)
    params = {"embedding/kernel": draw(*patch, 3, d), "embedding/bias": draw(d)}
    token = model["classifier"] == "token"
    if model["attention_config"]["type"] == "factorized_encoder":
        encoders = {"SpatialTransformer": (model["spatial_transformer"], n_h * n_w)}
        if not model["attention_config"].get("spatial_only_baseline"):
            encoders["TemporalTransformer"] = (model["temporal_transformer"], n_t)
        params |= {f"cls_{name}": draw(1, 1, d) for name in encoders if token}
    else:
        encoders = {"Transformer": (model, n_t * n_h * n_w)}
        params |= {"cls": draw(1, 1, d)} if token else {}
    for name, (widths, tokens) in encoders.items():
        params |= _random_encoder(name, widths, tokens + token, model, draw)
    return params | {"output_projection/kernel": draw(d, classes), "output_projection/bias": draw(classes)}


def _random_encoder(name, widths, tokens, model, draw):
    d, heads, mlp = model["hidden_size"], widths["num_heads"], widths["mlp_dim"]
    attentions, norms, dense = ("MultiHeadDotProductAttention_0",), ("LayerNorm_0", "LayerNorm_1"), "MlpBlock_0"
    if model["attention_config"]["type"] == "factorized_self_attention_block":
        attentions = ("MultiHeadDotProductAttention_space", "MultiHeadDotProductAttention_time")
        norms, dense = ("LayerNorm_space", "LayerNorm_time", "LayerNorm_mlp"), "MlpBlock"
    params = {f"{name}/posembed_input/pos_embedding": draw(1, tokens, d)}
    params |= {f"{name}/encoder_norm/scale": 1 + draw(d), f"{name}/encoder_norm/bias": draw(d)}
    for layer in range(widths["num_layers"]):
        block = f"{name}/encoderblock_{layer}"
        for norm in norms:
            params |= {f"{block}/{norm}/scale": 1 + draw(d), f"{block}/{norm}/bias": draw(d)}
        for attention in attentions:
            for part in ("query", "key", "value"):
                params[f"{block}/{attention}/{part}/kernel"] = draw(d, heads, d // heads)
                params[f"{block}/{attention}/{part}/bias"] = draw(heads, d // heads)
            params |= {f"{block}/{attention}/out/kernel": draw(heads, d // heads, d), f"{block}/{attention}/out/bias": draw(d)}
        params |= {f"{block}/{dense}/Dense_0/kernel": draw(d, mlp), f"{block}/{dense}/Dense_0/bias": draw(mlp)}
        params |= {f"{block}/{dense}/Dense_1/kernel": draw(mlp, d), f"{block}/{dense}/Dense_1/bias": draw(d)}
    return params


def grid(model, shape):
    """(n_t, n_h, n_w) of videos (t, h, w)."""
    time, height, width = _patch(model)[-3:] if len(_patch(model)) == 3 else (1, *_patch(model))
    frames = model["temporal_encoding_config"].get("n_sampled_frames", shape[0] // time)
    return frames, shape[1] // height, shape[2] // width


def logits(params, video, model):
    """(b, classes) of videos (b, t, h, w, 3)."""
    return np.stack([_logits_of_one(params, clip.astype(np.float64), model) for clip in video])


def _logits_of_one(params, clip, model):
    tokens = _embed(params, clip, model)
    kind = model["attention_config"]["type"]
    if kind == "factorized_encoder":
        frames = [_encode(params, "SpatialTransformer", "cls_SpatialTransformer", t.reshape(-1, t.shape[-1]), model) for t in tokens]
        spatial_only = model["attention_config"].get("spatial_only_baseline")
        frames = np.stack(frames)
        x = frames.mean(axis=0) if spatial_only else _encode(params, "TemporalTransformer", "cls_TemporalTransformer", frames, model)
    else:
        x = _encode(params, "Transformer", "cls", tokens.reshape(-1, tokens.shape[-1]), model, tokens.shape[0])
    return x @ params["output_projection/kernel"] + params["output_projection/bias"]


def _embed(params, clip, model):
    """(t, h, w, 3) to (n_t, n_h, n_w, d), a patch at a time."""
    kernel = params["embedding/kernel"].astype(np.float64)
    sampled = model["temporal_encoding_config"].get("n_sampled_frames")
    if sampled:
        step = len(clip) / (sampled + 1) if sampled < len(clip) else 1
        start = step if sampled < len(clip) else 0
        clip = clip[np.minimum(np.round(np.arange(start, len(clip), step)), len(clip) - 1).astype(int)]
        kernel = kernel[None]
    (n_t, n_h, n_w), (time, height, width) = grid(model, clip.shape), kernel.shape[:3]
    out = np.empty((n_t, n_h, n_w, kernel.shape[-1]))
    for t, i, j in np.ndindex(n_t, n_h, n_w):
        block = clip[t * time : (t + 1) * time, i * height : (i + 1) * height, j * width : (j + 1) * width]
        out[t, i, j] = np.tensordot(block, kernel, axes=4) + params["embedding/bias"]
    return out


def _encode(params, name, cls, x, model, n_t=None):
    """(n, d) to (d)."""
    if model["classifier"] == "token":
        x = np.concatenate([params[cls].reshape(1, -1), x])
    x = x + params[f"{name}/posembed_input/pos_embedding"][0]
    layers = {key.split("/")[1] for key in params if key.startswith(f"{name}/encoderblock_")}
    for layer in sorted(layers, key=lambda key: int(key.split("_")[1])):
        x = _block(
            {key.removeprefix(f"{name}/{layer}/"): w for key, w in params.items() if key.startswith(f"{name}/{layer}/")}, x, model, n_t
        )
    x = _norm(x, params[f"{name}/encoder_norm/scale"], params[f"{name}/encoder_norm/bias"])
    return x[0] if model["classifier"] == "token" else POOLINGS[model["classifier"]](x, axis=0)


def _block(p, x, model, n_t):
    attention = model["attention_config"]
    everything = np.ones((len(x), len(x)), bool)
    if n_t:
        n_s = len(x) // n_t
        same_time = np.arange(len(x))[:, None] // n_s == np.arange(len(x)) // n_s
        same_place = np.arange(len(x))[:, None] % n_s == np.arange(len(x)) % n_s
    if attention["type"] == "factorized_self_attention_block":
        for kind in attention["attention_order"].split("_"):
            y = _norm(x, p[f"LayerNorm_{kind}/scale"], p[f"LayerNorm_{kind}/bias"])
            x = x + _attend(p, f"MultiHeadDotProductAttention_{kind}", y, [same_time if kind == "space" else same_place] * 99)
        last, dense = "LayerNorm_mlp", "MlpBlock"
    else:
        y = _norm(x, p["LayerNorm_0/scale"], p["LayerNorm_0/bias"])
        heads = p["MultiHeadDotProductAttention_0/query/bias"].shape[0]
        masks = [everything] * heads
        if attention["type"] == "factorized_dot_product_attention":
            masks = [same_place] * (heads // 2) + [same_time] * (heads // 2)
        x = x + _attend(p, "MultiHeadDotProductAttention_0", y, masks)
        last, dense = "LayerNorm_1", "MlpBlock_0"
    y = _norm(x, p[f"{last}/scale"], p[f"{last}/bias"])
    hidden = y @ p[f"{dense}/Dense_0/kernel"] + p[f"{dense}/Dense_0/bias"]
    hidden = 0.5 * hidden * (1 + np.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
    return x + hidden @ p[f"{dense}/Dense_1/kernel"] + p[f"{dense}/Dense_1/bias"]


def _attend(p, name, y, masks):
    """Attention whose factorisation is a mask over all tokens, one a head."""
    out = 0
    for head in range(p[f"{name}/query/bias"].shape[0]):
        q, k, v = (y @ p[f"{name}/{part}/kernel"][:, head] + p[f"{name}/{part}/bias"][head] for part in ("query", "key", "value"))
        scores = np.where(masks[head], q @ k.T / math.sqrt(q.shape[-1]), -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        out = out + (weights / weights.sum(axis=-1, keepdims=True)) @ v @ p[f"{name}/out/kernel"][head]
    return out + p[f"{name}/out/bias"]


def _norm(x, scale, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6) * scale + bias


def _patch(model):
    """(t, h, w) of a tubelet, (h, w) of a patch."""
    size = model["patches"]["size"]
    return (size[2], size[0], size[1]) if len(size) == 3 else (size[0], size[1])
