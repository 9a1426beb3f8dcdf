"""Trains an experiment: `python train.py --config=configs/motion_digits.py --workdir=runs/digits`."""

from vivit_jax import process

if __name__ == "__main__":
    process.begin("train")  # before anything that takes time is imported
    from vivit_jax.cli import train

    raise SystemExit(train())
