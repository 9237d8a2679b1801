"""The judge: the TFLM reference kernels, as the `tflite-micro` wheel has them.

Peers disagree with each other on real models; this is the one that intaglio equals byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tflite

from .extras import missing
from .graph import Array

ARENA_BYTES = 8_000_000


def run(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Consecutive inferences of a .tflite by TFLM; variables keep their values from one to the next.

    Args:
        model: the bytes of a .tflite.
        inputs: one array per model input, [n, *shape]; a batch axis of 1 may be left out.

    Returns: one array per model output, [n, *shape]. Raises ToolError when the wheel is not installed.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as e:
        raise missing("tflite-micro") from e
    main = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    outputs = main.OutputsLength()
    shapes = [tuple(abs(main.Tensors(i).ShapeAsNumpy())) for i in main.InputsAsNumpy()]
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    rows: list[list[Array]] = []
    for i in range(len(inputs[0])):
        for k, x in enumerate(inputs):
            interpreter.set_input(x[i].reshape(shapes[k]), k)
        interpreter.invoke()
        rows.append([np.array(interpreter.get_output(k)) for k in range(outputs)])
    return [np.stack([row[k] for row in rows]) for k in range(len(rows[0]))]
