"""INSTANCE_NORM: like cases/layer_norm.py."""

from cases import Cases
from cases.layer_norm import case
from intaglio.ops.instance_norm import InstanceNorm

CASES = (Cases(InstanceNorm, lambda rng: case(rng, InstanceNorm), oracle=False),)
