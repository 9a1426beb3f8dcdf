"""`python -m vivit_jax` is `vivit`."""

import sys

from vivit_jax.cli import main

sys.exit(main())
