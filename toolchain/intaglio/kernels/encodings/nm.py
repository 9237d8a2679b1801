"""N:4: of each 4 weights of a row at most N (1, 2 or 3) are nonzeros, stored with a position of 2 bits: nm.h."""

from __future__ import annotations

import numpy as np

from ...graph import Array
from . import Encoded, stored

GROUP = 4


def encode(weights: Array) -> Encoded | None:
    """int8 [rows][columns] -> positions uint8: N, then 4 a byte, the first in the lowest bits; values int8 [rows x
    groups x N]. None where all weights of a group of 4 are nonzeros.

    Groups with fewer than N nonzeros begin with a zero at position 0, which what follows may take the place of.
    """
    groups = np.pad(weights, ((0, 0), (0, -weights.shape[1] % GROUP))).reshape(-1, GROUP)
    n = max(1, int(np.count_nonzero(groups, axis=1).max()))
    if n == GROUP:
        return None
    # Nonzeros last, in their order.
    order = np.argsort(groups != 0, axis=1, kind="stable")[:, GROUP - n :]
    values = np.take_along_axis(groups, order, axis=1)
    positions = np.where(values != 0, order, 0).ravel()
    packed = np.pad(positions, (0, -len(positions) % 4)).reshape(-1, 4) << np.array([0, 2, 4, 6])
    table = np.concatenate([[n], packed.sum(axis=1)]).astype(np.uint8)
    what = f"{n} of each {GROUP}"
    return Encoded((stored("positions", table, what), stored("values", values.ravel(), what)), skips=True)
