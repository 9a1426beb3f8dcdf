"""Trains an experiment: `python train.py --config=configs/motion_digits.py --workdir=runs/digits`."""

import sys

from vivit_jax.launch import main

if __name__ == "__main__":
    sys.exit(main())
