"""What a training took: how long, and on which devices."""

from vivit_jax.runs.record import RunRecord

UNKNOWN = "-"


def training_seconds(run: RunRecord) -> float | None:
    """Seconds spent on training steps, from the clips a second in each row of metrics; None if no row tells.

    The first step, with its compilation, is left out, as are evaluations and saves.
    """
    batch_size, seconds, before = run.experiment.training.batch_size, 0.0, 0
    for row in run.metrics():
        rate = row.get("train/clips_per_second")
        if rate and rate > 0 and row["step"] > before:
            seconds += (row["step"] - before) * batch_size / rate
            before = row["step"]
    return seconds or None


def devices(run: RunRecord) -> str | None:
    """The devices that a run was trained on, such as `8 x NVIDIA H100`; None if it does not tell."""
    recorded = run.surroundings.get("devices")
    if not isinstance(recorded, dict) or not isinstance(recorded.get("kind"), str):
        return None
    return f"{recorded.get('count', 1)} x {recorded['kind']}"


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it."""
    if seconds is None:
        return UNKNOWN
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
