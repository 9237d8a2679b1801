"""Nodes through a .tflite: written and read again, or forged on the way."""

from dataclasses import replace

from intaglio.emit import tflite as writer
from intaglio.frontends.tflite import parse


def read_back(graph):
    """The only node, after the graph was written to a .tflite and read."""
    return parse(writer.write(graph), "case", "case").nodes[0]


def refusal(graph, **fields):
    """Why the reader does not take the graph's node when its options hold `fields` instead."""
    node = graph.nodes[0]

    class Forged(type(node.op)):
        def to_tflite(self, node, graph):
            op = super().to_tflite(node, graph)
            return replace(op, fields={**op.fields, **fields})

    forged = Forged(**vars(node.op))
    return read_back(replace(graph, nodes=(replace(node, op=forged),))).op.reason
