"""The ONNX package's own cases, one node each."""

import importlib
import pkgutil
import warnings

from onnx.backend.test.case import node

from intaglio.frontends import onnx as frontend

OPSETS = range(11, 23)
"""The cases are of the package's newest operator set; they are told to be of the newest that is read."""


def cases():
    """Operator -> its cases. Only the modules of operators that are translated, and a few others, are imported: each
    computes its cases when it is."""
    wanted = {op.lower() for op in (*frontend.FLOAT, *OTHERS)}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.iter_modules(node.__path__):
            if module.name.replace("_", "") in wanted:
                importlib.import_module(f"{node.__name__}.{module.name}")
    for case in node._NodeTestCases:
        made = case.model.graph.node
        if len(made) == 1 and made[0].domain == "":
            found.setdefault(made[0].op_type, []).append(case)
    return found


OTHERS = ("Mish", "Erf", "Where", "Loop", "If", "ArgMax", "LSTM", "TopK")
"""Operators that are refused, or folded only."""
CASES = cases()
