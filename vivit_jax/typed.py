"""Checks values against type hints, for configs that are given as plain values."""

import types
import typing

from vivit_jax.errors import UserError


def typed(hint: typing.Any, value: object, name: str) -> object:
    """`value` as the type `hint`: an int is accepted as a float and a list as a tuple; nothing else is converted.

    >>> typed(tuple[int, int] | None, [1, 2], "size")
    (1, 2)

    Raises:
      UserError: naming it, for a value of another type.
    """
    for member in alternatives(hint):
        fits, converted = _fit(member, value, name)
        if fits:
            return converted
    raise UserError(f"{name} must be {describe_type(hint)}, got {value!r} ({type(value).__name__})")


def alternatives(hint: typing.Any) -> tuple[typing.Any, ...]:
    """The members of a union, None last; any other hint alone."""
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return tuple(sorted(typing.get_args(hint), key=lambda member: member is types.NoneType)) if union else (hint,)


def describe_type(hint: object) -> str:
    """A type as a person reads it: `int or None`, `(float, float)`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(describe_type(member) for member in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        members = typing.get_args(hint)
        return f"({describe_type(members[0])}, ...)" if members[-1] is Ellipsis else f"({', '.join(map(describe_type, members))})"
    if hint is types.NoneType:
        return "None"
    return getattr(typing.get_origin(hint) or hint, "__name__", str(hint))


def _fit(hint: typing.Any, value: object, name: str) -> tuple[bool, object]:
    origin = typing.get_origin(hint)
    if hint is types.NoneType:
        return value is None, None
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number, float(value) if number else None
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if origin is tuple:
        return _fit_tuple(typing.get_args(hint), value, name)
    return isinstance(value, origin or hint), value


def _fit_tuple(members: tuple, value: object, name: str) -> tuple[bool, object]:
    if not isinstance(value, list | tuple):
        return False, None
    if members[-1:] == (Ellipsis,):
        members = members[:1] * len(value)
    if len(members) != len(value):
        return False, None
    return True, tuple(typed(member, item, f"{name}[{i}]") for i, (member, item) in enumerate(zip(members, value, strict=True)))
