"""The one place where the chatter of libraries is silenced, so that what a command prints is what it has to say.

`VIVIT_VERBOSE=1` silences nothing, for finding a fault in a library.
"""

import logging
import os
import sys
import warnings

from absl import logging as absl_logging

from vivit_jax import process

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # XLA's C++ log: notes on cuDNN, autotuning, slow compilation
    "GRPC_VERBOSITY": "ERROR",  # jax.distributed and orbax
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",  # that it removed what a process left which was ended at once
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime's, which warns where there is no home folder to keep its number in
}

LOGGERS = (
    "apache_beam",
    "asyncio",  # orbax's, when a disk is full
    "etils",
    "grain",
    "jax",  # "Unable to initialize backend 'tpu'" and its like
    "libav",
    "matplotlib",  # building its font cache
    "orbax",
    "python_multipart",  # a form that cannot be read, which the answer says
    "tensorflow_datasets",
)


def silence_libraries() -> None:
    """Silences logs and warnings of libraries, not what this package prints. Call it before importing them."""
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
    """Prints exceptions that nobody can catch, except a signal's, and tensorstore's from calling into the closed loop of a failed save."""
    closed = failure.exc_type is RuntimeError and str(failure.exc_value) == "Event loop is closed"
    if not closed and not process.sent_again(failure.exc_type):
        sys.__unraisablehook__(failure)
