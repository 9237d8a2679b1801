"""Random cases that AVERAGE_POOL_2D and MAX_POOL_2D share."""

from dataclasses import replace

from harness import act, graph_of

from intaglio.ops.window import same_pads


def pool_case(rng, op_class):
    kernel = tuple(int(v) for v in rng.integers(1, 6, 2))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    hw = tuple(int(k + rng.integers(0, 7)) for k in kernel)
    pads = (0, 0, 0, 0)
    if rng.random() < 0.6:
        # SAME takes an image smaller than the window.
        hw = tuple(int(v) for v in rng.integers(1, 10, 2))
        pads = same_pads(hw, kernel, stride, (1, 1))
    op = op_class(kernel, stride, pads, str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])))
    x = act(rng, "x", (1, *hw, int(rng.integers(1, 9))))
    return graph_of(op, [x], [replace(x, name="y", shape=op.infer([x], [])[0][0])])
