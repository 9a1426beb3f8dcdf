"""The markers of a test file, read from its source: what documents are made of that must not go stale."""

import ast
import pathlib
from typing import Any


def markers(path: pathlib.Path, name: str) -> list[dict[str, Any]]:
    """The keyword arguments of each `@pytest.mark.NAME` of a file, called or not, in order, with `test`, the name of the marked test.

    Constants of the file's top level may stand for values.
    """
    module = ast.parse(path.read_text())
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
    }
    found = []
    for node in ast.walk(module):
        for call in getattr(node, "decorator_list", ()):
            if ast.unparse(getattr(call, "func", call)) == f"pytest.mark.{name}":
                values = {
                    keyword.arg: constants[keyword.value.id] if isinstance(keyword.value, ast.Name) else ast.literal_eval(keyword.value)
                    for keyword in getattr(call, "keywords", ())
                }
                found.append(values | {"test": node.name})
    return found
