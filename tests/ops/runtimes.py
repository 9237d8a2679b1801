"""Runs many .tflite files in TFLM or LiteRT, in a process of their own: a runtime may crash on a file where it ought to
refuse it, and then the next file goes on in a new process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

RUNTIMES = ("tflm", "litert")
SECONDS = 300


def outputs(runtime: str, models: Sequence[bytes], rows: Sequence[Sequence[Sequence[np.ndarray]]]) -> list:
    """For each model its outputs, a list of arrays a row of inputs; or what the runtime said instead, a string."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, (data, given) in enumerate(zip(models, rows, strict=True)):
            (folder / f"{i}.tflite").write_bytes(data)
            np.savez(folder / f"{i}.in.npz", *[x for row in given for x in row])
        found: list = []
        while len(found) < len(models):
            command = [sys.executable, __file__, runtime, name, str(len(found)), str(len(models))]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            before = len(found)
            for i in range(before, len(models)):
                made, said = folder / f"{i}.out.npz", folder / f"{i}.said"
                if made.exists():
                    found.append(_read(made, len(rows[i])))
                elif said.exists():
                    found.append(said.read_text())
                else:
                    break
            if len(found) == len(models):
                break
            if done.returncode >= 0:
                raise AssertionError(f"{runtime} ended with {done.returncode}: {done.stderr[-2000:]}")
            found.append(f"it crashes (signal {-done.returncode})")
        return found


def _read(path: Path, rows: int) -> list[list[np.ndarray]]:
    with np.load(path) as archive:
        flat = [archive[f"arr_{k}"] for k in range(len(archive.files))]
    each = len(flat) // rows
    return [flat[r * each : (r + 1) * each] for r in range(rows)]


def _tflm(data: bytes):
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=8_000_000)

    def run(xs):
        for k, x in enumerate(xs):
            interpreter.set_input(x, k)
        interpreter.invoke()
        return [np.array(interpreter.get_output(k)) for k in range(outputs_of(data))]

    return run


def outputs_of(data: bytes) -> int:
    import tflite

    return tflite.Model.GetRootAs(data, 0).Subgraphs(0).OutputsLength()


def _litert(data: bytes):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Its own reference kernels: XNNPACK's differ from them in the last bits. ELU it has among the others only.
    kernels = OpResolverType.BUILTIN_REF
    if "ELU" in operators(data):
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    ins, outs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(xs):
        for detail, x in zip(ins, xs, strict=True):
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        return [np.array(interpreter.get_tensor(detail["index"])) for detail in outs]

    return run


def main(runtime: str, name: str, start: int, end: int) -> None:
    folder = Path(name)
    for i in range(start, end):
        try:
            with np.load(folder / f"{i}.in.npz") as archive:
                flat = [archive[f"arr_{k}"] for k in range(len(archive.files))]
            run = (_tflm if runtime == "tflm" else _litert)((folder / f"{i}.tflite").read_bytes())
            inputs = _inputs((folder / f"{i}.tflite").read_bytes())
            made = [y for r in range(0, len(flat), inputs) for y in run(flat[r : r + inputs])]
            np.savez(folder / f"{i}.part.npz", *made)
            (folder / f"{i}.part.npz").rename(folder / f"{i}.out.npz")
        except Exception as error:  # whatever the runtime raises
            (folder / f"{i}.said").write_text(str(error).strip().splitlines()[0][:200] if str(error).strip() else "?")


def operators(data: bytes) -> set[str]:
    """Names of the builtin operators that a file uses."""
    import tflite

    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    model = tflite.Model.GetRootAs(data, 0)
    return {names[model.OperatorCodes(k).BuiltinCode()] for k in range(model.OperatorCodesLength())}


def _inputs(data: bytes) -> int:
    import tflite

    return tflite.Model.GetRootAs(data, 0).Subgraphs(0).InputsLength()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
