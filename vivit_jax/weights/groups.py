"""The report of a transfer of weights: where each group of parameters came from."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Group:
    """A line of the report.

    Attributes:
      name: a group of parameters of the model.
      source: where they came from; `-` for nowhere.
      done: what was done to them.
    """

    name: str
    source: str
    done: str
