"""The digits CNN of the demo: PyTorch -> int8 -> .tflite; the oracle against the emulated M4 on every test image."""

from __future__ import annotations

import sys

from common import ROOT, differing, firmware, publish, table

from intaglio import oracle, profile
from intaglio.emit import tflite as tflite_writer

sys.path.insert(0, str(ROOT / "examples"))
import digits


def main() -> None:
    module, (x_train, _), (x_test, y_test) = digits.train()
    graph = digits.to_int8(module, x_train)
    q = digits.quantized(graph, x_test)
    judged = oracle.run(tflite_writer.write(graph), [q])
    with firmware(graph, "qemu-mps2-an386") as fw:
        report = profile.profile(fw, [q], judged)
    found = {
        "test_images": len(q),
        "macs": graph.macs(),
        "float_accuracy": digits.float_accuracy(module, (x_test, y_test)),
        "m4_accuracy": digits.accuracy(report.result.outputs[0], y_test),
        "bytes_differing": differing(report.result.outputs, judged),
        "instructions": report.latency.instructions,
        **report.to_dict()["memory"],
    }
    rows = [[k.replace("_", " "), f"{v:.2%}" if isinstance(v, float) else v] for k, v in found.items()]
    title = "# The digits CNN\n\nMade by `make bench`, on the emulated Cortex-M4.\n\n"
    publish("digits", title + table(["", "M4"], rows), found)


if __name__ == "__main__":
    main()
