"""ViViT, the video vision transformer (Arnab et al. 2021), and the CNNs it is compared with, in JAX and Flax.

Names are imported when first used, so that `vivit --help` does not wait for JAX.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from vivit_jax.data.preparation.prepare import prepare
    from vivit_jax.inference.evaluate import evaluate
    from vivit_jax.inference.features import features
    from vivit_jax.inference.pretrained import from_pretrained
    from vivit_jax.models.families import create_model
    from vivit_jax.runs.comparison.compare import compare
    from vivit_jax.runs.train import train
    from vivit_jax.weights.model_dir import save_pretrained

__all__ = ["__version__", "compare", "create_model", "evaluate", "features", "from_pretrained", "prepare", "save_pretrained", "train"]

_HOMES = {
    "compare": "vivit_jax.runs.comparison.compare",
    "create_model": "vivit_jax.models.families",
    "evaluate": "vivit_jax.inference.evaluate",
    "features": "vivit_jax.inference.features",
    "from_pretrained": "vivit_jax.inference.pretrained",
    "prepare": "vivit_jax.data.preparation.prepare",
    "save_pretrained": "vivit_jax.weights.model_dir",
    "train": "vivit_jax.runs.train",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from vivit_jax.versions import version_of

        return version_of("vivit_jax") or "0+unknown"  # run from a checkout that is not installed
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
