"""The report of a transfer of weights: where each group of parameters came from, and what else was read, given or assumed."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ReportLine:
    """A line of the report.

    Attributes:
      name: the name of a group of the model's parameters, or of something else in parentheses, such as `(config)`.
      source: where they came from; `-` for nowhere.
      done: what was done to them.
    """

    name: str
    source: str
    done: str
