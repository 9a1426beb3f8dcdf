"""The one place where the chatter of libraries is silenced, so that what a command prints is what it has to say.

`VIVIT_VERBOSE=1` leaves everything on, for whoever hunts a fault in a library.
"""

import logging
import os
import sys
import warnings

from absl import logging as absl_logging

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # XLA's C++ log: notes on cuDNN, autotuning, slow compilation
    "GRPC_VERBOSITY": "ERROR",  # jax.distributed and orbax
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

LOGGERS = (
    "asyncio",  # orbax's, when a disk is full
    "etils",
    "grain",
    "jax",  # "Unable to initialize backend 'tpu'" and its like
    "libav",
    "matplotlib",  # building its font cache
    "orbax",
    "tensorflow_datasets",
)


def silence_libraries() -> None:
    """Leaves it to libraries to raise what matters. Call it before importing them; what this package prints is untouched."""
    if os.environ.get("VIVIT_VERBOSE"):
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    absl_logging.set_verbosity(absl_logging.FATAL)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = _without_late_callbacks


def _without_late_callbacks(failure: "sys.UnraisableHookArgs") -> None:
    """Prints what nobody can catch, but for tensorstore calling back into the event loop of an orbax save that failed and was told of."""
    if not (failure.exc_type is RuntimeError and str(failure.exc_value) == "Event loop is closed"):
        sys.__unraisablehook__(failure)
