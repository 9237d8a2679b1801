"""AVERAGE_POOL2D."""

from pooling import pool_case

from cases import WIDE, Cases
from intaglio.ops.average_pool2d import AveragePool2D


def case(rng):
    return pool_case(rng, AveragePool2D)


CASES = (Cases(AveragePool2D, case, WIDE),)
