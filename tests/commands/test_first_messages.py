"""What a newcomer is told at the first missteps, and of classes that a split lacks."""

import pathlib
import shutil

import pytest

from vivit_jax import cli
from vivit_jax.commands.evaluate import _says_something
