"""Trains a model: state, step, losses, optimiser, schedule, evaluation and devices. The loop around them is in `runs`.

- `config` holds the sections of an experiment, `durations` turns their lengths into steps. `setup` makes the state and the step of a
  run.
- The step is a pure function (`step`), made of `colours`, `mixing`, `losses`, `gradients`, `lora`, `optimizer` with its `schedule`, and
  `moving_average`. What it carries from one batch to the next is in `state`.
- `devices/` runs it: an executor places states and batches and compiles the step; `feed` reads batches ahead of it.
- `forward` computes a model's outputs for a split and `evaluation` scores them, by `averaging` over views and `metrics`.
- `probes/` fits heads to frozen features and tokens.
"""
