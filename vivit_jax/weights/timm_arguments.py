"""timm's `model_args`, which change what the same weights compute and leave no trace in them."""

from collections.abc import Collection, Mapping

from vivit_jax.errors import UserError


def refuse_others(arguments: Mapping, plain: Mapping[str, Collection], name: str, network: str) -> None:
    """Refuses a model that config.json beside its weights says to be no plain one.

    Args:
      arguments: what config.json says.
      plain: the values of each argument that mean a plain network; an argument that is not given means one too.
      name: the source, for the error.
      network: what the weights are read as, such as `a ViViT`.

    Raises:
      UserError: for another value.
    """
    for field, values in plain.items():
        value = arguments.get(field)
        if value not in (None, *values):
            raise UserError(f"{name}: config.json says {field} {str(value)[:80]!r}, which {network} does not have")
