"""An image ViT in NumPy, independent of the package, and random weights for it under Google's names."""

import math

import numpy as np
import scipy.special


def random_vit(*, width=8, heads=2, mlp=16, layers=2, patch=4, grid=3, classes=None, pre_logits=False, cls=True, old_names=False, seed=0):
    """Weights of a Google ViT, {name: array}; `old_names` numbers a block's modules in one row."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32) * 0.3

    attention, norm, mlp_name = (
        ("MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3")
        if old_names
        else (
            "MultiHeadDotProductAttention_0",
            "LayerNorm_1",
            "MlpBlock_0",
        )
    )
    weights = {
        "embedding/kernel": draw(patch, patch, 3, width),
        "embedding/bias": draw(width),
        "Transformer/posembed_input/pos_embedding": draw(1, grid * grid + cls, width),
        "Transformer/encoder_norm/scale": 1 + draw(width),
        "Transformer/encoder_norm/bias": draw(width),
    }
    if cls:
        weights["cls"] = draw(1, 1, width)
    for layer in range(layers):
        block = f"Transformer/encoderblock_{layer}/"
        for name in ("LayerNorm_0", norm):
            weights |= {f"{block}{name}/scale": 1 + draw(width), f"{block}{name}/bias": draw(width)}
        for part in ("query", "key", "value"):
            weights |= {
                f"{block}{attention}/{part}/kernel": draw(width, heads, width // heads),
                f"{block}{attention}/{part}/bias": draw(heads, width // heads),
            }
        weights |= {f"{block}{attention}/out/kernel": draw(heads, width // heads, width), f"{block}{attention}/out/bias": draw(width)}
        weights |= {f"{block}{mlp_name}/Dense_0/kernel": draw(width, mlp), f"{block}{mlp_name}/Dense_0/bias": draw(mlp)}
        weights |= {f"{block}{mlp_name}/Dense_1/kernel": draw(mlp, width), f"{block}{mlp_name}/Dense_1/bias": draw(width)}
    if pre_logits:
        weights |= {"pre_logits/kernel": draw(width, width), "pre_logits/bias": draw(width)}
    if classes:
        weights |= {"head/kernel": draw(width, classes), "head/bias": draw(classes)}
    return weights


def tokens(weights, image, positions, *, use_cls=True, gelu="gelu_tanh", eps=1e-6):
    """Normalised tokens (1 + n, d), or (n, d) without the cls token, of an image (h, w, 3) that is already normalised.

    `positions` (1 + n, d) are those of the cls token and of the grid of this image.
    """
    kernel = weights["embedding/kernel"].astype(np.float64)
    patch = kernel.shape[0]
    rows, columns = image.shape[0] // patch, image.shape[1] // patch
    blocks = image.astype(np.float64).reshape(rows, patch, columns, patch, 3).transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1)
    x = blocks @ kernel.reshape(-1, kernel.shape[-1]) + weights["embedding/bias"]
    x = x + positions[1:]
    if use_cls:
        x = np.concatenate([weights["cls"].reshape(1, -1) + positions[:1], x])
    layers = 1 + max(int(name.split("encoderblock_")[1].split("/")[0]) for name in weights if "encoderblock_" in name)
    for layer in range(layers):
        parts = {name.split(f"encoderblock_{layer}/")[1]: w for name, w in weights.items() if f"encoderblock_{layer}/" in name}
        attention = next(name.split("/")[0] for name in parts if name.startswith("Multi"))
        norm = next(name.split("/")[0] for name in parts if name.startswith(("LayerNorm_1", "LayerNorm_2")))
        mlp = next(name.split("/")[0] for name in parts if name.startswith("Mlp"))
        y = _norm(x, parts["LayerNorm_0/scale"], parts["LayerNorm_0/bias"], eps)
        q, k, v = (
            np.einsum("nd,dkf->knf", y, parts[f"{attention}/{p}/kernel"]) + parts[f"{attention}/{p}/bias"][:, None]
            for p in ("query", "key", "value")
        )
        scores = np.einsum("kqf,ksf->kqs", q, k) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("kqs,ksf->qkf", scores / scores.sum(-1, keepdims=True), v)
        x = x + np.einsum("qkf,kfd->qd", mixed, parts[f"{attention}/out/kernel"]) + parts[f"{attention}/out/bias"]
        y = _norm(x, parts[f"{norm}/scale"], parts[f"{norm}/bias"], eps)
        hidden = _gelu(y @ parts[f"{mlp}/Dense_0/kernel"] + parts[f"{mlp}/Dense_0/bias"], gelu)
        x = x + hidden @ parts[f"{mlp}/Dense_1/kernel"] + parts[f"{mlp}/Dense_1/bias"]
    return _norm(x, weights["Transformer/encoder_norm/scale"], weights["Transformer/encoder_norm/bias"], eps)


def _norm(x, scale, bias, eps):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) * scale + bias


def _gelu(x, kind):
    if kind == "gelu_tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + scipy.special.erf(x / math.sqrt(2)))
