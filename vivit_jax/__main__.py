"""`python -m vivit_jax` is `vivit`."""

from vivit_jax import process


def main() -> int:
    """Runs the command of this process; returns its exit code."""
    process.begin("vivit")
    from vivit_jax.cli import main as run

    return process.finish(run())


if __name__ == "__main__":
    raise SystemExit(main())
