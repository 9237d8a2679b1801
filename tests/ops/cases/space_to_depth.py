"""SPACE_TO_DEPTH: cases/depth_to_space.py the other way round."""

from cases import Cases
from cases.depth_to_space import case
from intaglio.ops.space_to_depth import SpaceToDepth

CASES = (Cases(SpaceToDepth, lambda rng: case(rng, SpaceToDepth)),)
