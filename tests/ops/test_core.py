"""Every integer operator on a core: the C of the portable kernels on a Cortex-M4 in QEMU gives the reference's
bytes."""

import shutil

import cases as operators
import pytest
from cores import BOARDS
from every_operator import as_dtype
from harness import check_cases

from intaglio import boards, targets

CORE = "cortex-m4"
FEW = 30
CASES = [(c, dtype) for c in operators.every() for dtype in ("int8", "int16") if dtype in c.dtypes]


@pytest.mark.parametrize(("found", "dtype"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_bytes_on_a_core(found, dtype):
    target = targets.load(CORE)
    for program in (target.gcc.program, *boards.load(BOARDS[CORE]).runner.programs()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    check_cases(lambda rng: as_dtype(found.make(rng), dtype, rng), FEW, seed=4, judge=False, target=target)
