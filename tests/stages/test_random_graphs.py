"""Whole graphs at random: views, in-place operators, several outputs, outputs that are inputs, and state.

The planner decides which bytes are shared; a wrong decision changes an output, and ASan sees what leaves the arena.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from harness import check_cases, compare, host_c, inputs_for, numpy_reference, tflm
from random_graphs import random_graph

from intaglio.emit import tflite as writer
from intaglio.frontends import tflite as reader


def test_stateless_graphs():
    check_cases(random_graph, 200, judge=False)


def test_outputs_that_nodes_make_match_the_oracle():
    def case(rng):
        graph = random_graph(rng)
        made = tuple(n for n in graph.outputs if graph.producer(n) is not None) or (graph.nodes[-1].outputs[0],)
        return replace(graph, outputs=made).with_nodes(graph.nodes, graph.tensors)

    check_cases(case, 200, seed=2)


def test_state_is_kept_from_one_inference_to_the_next():
    graphs = [
        replace(random_graph(np.random.default_rng([7, i]), states=1 + i % 3), name=f"case_{i}") for i in range(200)
    ]
    feeds = [inputs_for(g, np.random.default_rng(i), random=6) for i, g in enumerate(graphs)]
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), 7)


def test_state_survives_the_writer_and_the_oracle_agrees():
    graphs, feeds = [], []
    for i in range(200):
        graph = random_graph(np.random.default_rng([8, i]), states=1)
        made = tuple(n for n in graph.outputs if graph.producer(n) is not None)
        if not made:
            continue
        graph = replace(graph, outputs=made)
        again = reader.parse(writer.write(graph), "memory", "again")
        graphs.append(graph)
        feeds.append(inputs_for(graph, np.random.default_rng(i), random=6))
        values = [[numpy_reference(g, feeds[-1])] for g in (graph, again)]
        compare("reader", [graph], [feeds[-1]], *values, 8)
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("oracle", graphs, feeds, expected, tflm(graphs, feeds), 8)
