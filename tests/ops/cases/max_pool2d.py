"""MAX_POOL2D."""

from pooling import pool_case

from cases import WIDE, Cases
from intaglio.ops.max_pool2d import MaxPool2D


def case(rng):
    return pool_case(rng, MaxPool2D)


CASES = (Cases(MaxPool2D, case, WIDE),)
