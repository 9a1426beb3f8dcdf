"""The parameters of a model as a table, for the start of a run and for `vivit inspect`."""

from collections.abc import Sequence

from rich.table import Table

from vivit_jax.analysis.complexity import ParameterGroup


def parameter_table(groups: Sequence[ParameterGroup], *, tensors: bool) -> Table:
    """The parameters and share of each group, and of all.

    Args:
      groups: the rows, in order.
      tensors: whether a column counts tensors, which is of use if they are stored layer by layer.
    """
    total = sum(group.parameters for group in groups)
    whole = ParameterGroup("all", sum(group.tensors for group in groups), total)
    table = Table(box=None, pad_edge=False)
    table.add_column("parameters")
    for title in (*(("tensors",) if tensors else ()), "numbers", "share"):
        table.add_column(title, justify="right")
    for group in (*groups, whole):
        count = [str(group.tensors)] if tensors else []
        style = "bold" if group is whole else None
        table.add_row(group.name, *count, f"{group.parameters:,}", f"{group.parameters / total:.1%}", style=style)
    return table
