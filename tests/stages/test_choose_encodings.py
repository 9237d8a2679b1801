"""The choice of how flash holds weights: exact bytes, each kernel's code once, and no other byte out."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from encoded import chain, conv2d, of_each_4, sparse, with_weights
from harness import act, const

from intaglio import assets, interpret, pipeline, targets
from intaglio.errors import DataError
from intaglio.graph import Graph, Node, Quant, verify
from intaglio.kernels import costs
from intaglio.kernels.encodings import names
from intaglio.manifest import FILE, Manifest
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.select.weights import Layer, Option, best, choose_encodings, options, ram_bytes

M4 = targets.load("cortex-m4")


def code(kernel):
    return costs("cortex-m4")[kernel]["code"]


def test_dense_leaves_the_graph_as_it_is():
    graph = chain(sparse(np.random.default_rng(1), 50, 100, 0.1))
    assert choose_encodings(graph, "dense") is graph
    with pytest.raises(DataError, match=r"'tiny'.*dense, size"):
        choose_encodings(graph, "tiny")


def test_size_is_what_flash_holds():
    """The bytes that were compared are those of the manifest, and the code is less than what is saved."""
    graph = chain(sparse(np.random.default_rng(1), 60, 400, 0.05), sparse(np.random.default_rng(2), 10, 60, 0.9))
    chosen = choose_encodings(graph, "size")
    by_name = {o.encoding: o for o in options(graph, M4)[0].options}
    encoding = chosen.tensors["w0"].encoding
    assert encoding and by_name[encoding].flash_bytes < by_name[""].flash_bytes / 4
    sizes = {o.encoding: o.flash_bytes for o in options(graph, M4)[1].options}
    files = pipeline.compile_graph(graph, "host", weights="size")
    found = Manifest.model_validate_json(files[FILE]).weight_bytes
    assert found == by_name[encoding].flash_bytes + sizes[chosen.tensors["w1"].encoding]


def test_each_encoding_is_compared_by_the_bytes_in_flash():
    rng = np.random.default_rng(1)
    graph = chain(sparse(rng, 20, 80, 0.8, (-2, 1)) * of_each_4((20, 80), 2, rng))
    (layer,) = options(graph, M4)
    assert {o.encoding for o in layer.options} == {"", *names()}
    # Of several kernels for one encoding, the first is what a compilation takes.
    for option in {o.encoding: o for o in reversed(layer.options)}.values():
        w = replace(graph.tensors["w0"], encoding=option.encoding)
        files = pipeline.compile_graph(replace(graph, tensors={**graph.tensors, "w0": w}), "host", target=M4)
        assert Manifest.model_validate_json(files[FILE]).weight_bytes == option.flash_bytes
        assert {f"kernels/{k}.c" for k in option.kernels} <= files.keys()


def test_code_is_not_worth_a_few_weights():
    rng = np.random.default_rng(1)
    graph = conv2d((5, 5), 8, 4, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0), 1, rng)
    graph = with_weights(graph, sparse(rng, 4, 72, 0.1).reshape(4, 3, 3, 8), "")
    (layer,) = options(graph, M4)
    assert min(o.flash_bytes for o in layer.options) < 100 < graph.tensors["w"].nbytes
    assert choose_encodings(graph, "size").tensors["w"].encoding == ""


@pytest.mark.parametrize("preference", ["size", "balanced", "speed"])
def test_no_choice_is_better(preference):
    """Against all combinations, with made-up figures."""
    rng = np.random.default_rng(1)
    kernels = ["conv2d", "conv2d_huffman", "conv2d_sparse", "fully_connected", "fully_connected_huffman"]

    def flash(found):
        return sum(o.flash_bytes for o in found) + sum(map(code, set().union(*(o.kernels for o in found))))

    def total(found, dense):
        instructions = sum(o.instructions for o in found)
        if preference == "size":
            return flash(found)
        other = 0.1 if preference == "speed" else 1.0
        memory = flash(found) / flash(dense) + sum(o.ram_bytes for o in found) / 700
        return other * memory + instructions / sum(o.instructions for o in dense)

    for _ in range(30):
        layers = []
        for i in range(5):
            some = rng.choice(len(kernels), rng.integers(1, 4), replace=False)
            figures = [rng.integers(low, high, len(some)) for low, high in ((0, 3000), (0, 300), (1, 5000))]
            made = [
                Option(str(k), int(f), int(r), int(n), frozenset({kernels[k], *rng.choice(kernels, 1)}))
                for k, f, r, n in zip(some, *figures, strict=True)
            ]
            layers.append(Layer((str(i),), (str(i),), tuple(made)))
        dense = [layer.options[0] for layer in layers]
        least = min(total(found, dense) for found in itertools.product(*(layer.options for layer in layers)))
        found = best(layers, preference, 700)
        assert all(o in layer.options for o, layer in zip(found, layers, strict=True))
        assert total(found, dense) == pytest.approx(least)


def test_preferences_differ():
    """Most zeros: bytes by an entropy code, instructions by relative indices, which need no decoding."""
    graph = chain(sparse(np.random.default_rng(1), 200, 700, 0.1, (-3, -2, -1, 1, 2, 3)))
    size, balanced, speed = (choose_encodings(graph, p).tensors["w0"].encoding for p in ("size", "balanced", "speed"))
    assert size in ("huffman", "tans") and speed == "relative" and balanced == "relative"
    by_name = {o.encoding: o for o in options(graph, M4)[0].options}
    assert by_name[size].flash_bytes < by_name[speed].flash_bytes < by_name[""].flash_bytes
    assert by_name[speed].instructions < by_name[""].instructions


def test_ram_is_how_much_the_arena_grows():
    """A filter's scratch is free where another layer needs more than it and its layer together."""
    rng = np.random.default_rng(1)
    big = conv2d((12, 12), 24, 8, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, rng)
    first = big.nodes[0]
    w, w2 = big.tensors["w"], const("w2", np.ones((4, 3, 3, 8), np.int8), Quant((0.01,), (0,)))
    y2 = act(rng, "y2", (1, 4, 4, 4), scale=1.0)
    mid = replace(big.tensors["y"], name="mid")
    pool = replace(act(rng, "pool", (1, 4, 4, 8)), quant=mid.quant)
    ones = const("w", np.ones(w.shape, np.int8), w.quant)
    nodes = (
        replace(first, outputs=("mid",)),
        Node("pool", MaxPool2D((3, 3), (3, 3)), ("mid",), ("pool",)),
        Node("second", first.op, ("pool", "w2"), ("y2",)),
    )
    graph = Graph(
        "case", nodes, {"x": big.tensors["x"], "w": ones, "mid": mid, "pool": pool, "w2": w2, "y2": y2}, ("x",), ("y2",)
    )
    verify(graph, "quantized")
    before = pipeline.compile_graph(graph, "host")
    for layer, grown in zip(options(graph, M4), (3 * 3 * 24 - 8, 0), strict=True):
        for option in layer.options:
            if option.encoding not in ("", "tans"):
                assert option.ram_bytes == grown, option
        w = layer.tensors[0]
        changed = {**graph.tensors, w: replace(graph.tensors[w], encoding="huffman")}
        after = pipeline.compile_graph(replace(graph, tensors=changed), "host")
        a, b = (Manifest.model_validate_json(f[FILE]).arena_bytes for f in (before, after))
        assert b - a == grown
    # The pool lies on what it reads, but for its first pixel.
    assert ram_bytes(graph, M4) == 12 * 12 * (24 + 8) + 8 + 4 * 4 * 4


def test_equal_weights_are_stored_once():
    w = sparse(np.random.default_rng(1), 60, 60, 0.05)
    graph = chain(w, w.copy())
    (layer,) = options(graph, M4)
    assert layer.tensors == ("w0", "w1") and layer.nodes == ("fc0", "fc1")
    chosen = choose_encodings(graph, "size")
    assert chosen.tensors["w0"].encoding == chosen.tensors["w1"].encoding != ""
    found = Manifest.model_validate_json(pipeline.compile_graph(graph, "host", weights="size")[FILE]).weight_bytes
    assert found == {o.encoding: o for o in layer.options}[chosen.tensors["w0"].encoding].flash_bytes


def test_what_has_no_kernel_stays():
    """Activations of 16 bits, float weights, weights that another input reads."""
    graph = chain(sparse(np.random.default_rng(1), 60, 400, 0.05))
    wide = {n: replace(graph.tensors[n], dtype="int16", quant=Quant((0.1,), (0,))) for n in ("x", "y0")}
    assert options(replace(graph, tensors={**graph.tensors, **wide}), M4) == []
    assert options(replace(graph, outputs=("y0", "w0")), M4) == []
    floats = {n: replace(graph.tensors[n], dtype="float32", quant=None) for n in ("x", "y0")}
    w = const("w0", graph.tensors["w0"].data.astype(np.float32))
    graph = replace(graph, tensors={**graph.tensors, **floats, "w0": w})
    assert options(graph, M4) == []
    assert pipeline.compile_graph(graph, "host", weights="size").keys() == pipeline.compile_graph(graph, "host").keys()


def test_a_convolution_and_a_layer_of_4_bits():
    rng = np.random.default_rng(3)
    graph = conv2d((9, 9), 8, 200, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, rng)
    graph = with_weights(graph, sparse(rng, 200, 72, 0.04).reshape(200, 3, 3, 8), "")
    packed = replace(graph.tensors["w"], quant=replace(graph.tensors["w"].quant, bits=4))
    four = replace(graph, tensors={**graph.tensors, "w": packed})
    for g in (graph, four):
        assert choose_encodings(g, "size").tensors["w"].encoding not in ("", "s4")
        x = [rng.integers(-128, 128, (2, 9, 9, 8)).astype(np.int8)]
        assert (interpret.run(choose_encodings(g, "size"), x)[0] == interpret.run(g, x)[0]).all()
    assert "s4" not in {o.encoding for o in options(four, M4)[0].options}


def test_every_kernel_has_its_cost():
    for path in (assets.root() / "runtime_c" / "kernels" / "c").glob("*.c"):
        op, _, encoding = path.stem.rpartition("_")
        if encoding in names() and op in ("conv2d", "fully_connected"):
            for core in ("cortex-m0plus", "cortex-m4", "cortex-m55"):
                assert costs(core)[path.stem]["code"] > 0
    assert costs("cortex-m7") == costs("cortex-m4") != costs("cortex-m0plus")
