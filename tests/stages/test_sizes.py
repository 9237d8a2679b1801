"""Nothing that is emitted becomes slower or larger unnoticed: figures against benchmarks/sizes.json."""

import copy
import json
import warnings

import pytest
import sizes

KNOWN = json.loads(sizes.FILE.read_text())
EXPLAIN = (
    "if that is the price of something, `python benchmarks/run.py sizes` notes it: commit the file with the reason"
)


@pytest.mark.parametrize("core", sizes.SHOWN)
@pytest.mark.parametrize("name", [*sizes.MADE, *sizes.FROM_SHARED])
def test_nothing_has_grown(name, core):
    if name not in sizes.names():
        pytest.skip("the MLPerf Tiny models are not beside this checkout (../shared)")
    version = sizes.compilers()[core]
    if version != KNOWN["compilers"][core]:
        pytest.skip(f"figures are those of GCC {KNOWN['compilers'][core]} for {core}; here is {version}")
    before, now = KNOWN["models"][name][core], sizes.measure(name, core)
    worse, better = sizes.worse(before, now), sizes.better(before, now)
    assert not worse, f"{name} on {core} has grown: {'; '.join(worse)}. {EXPLAIN}"
    assert before["layers"].keys() == now["layers"].keys(), f"{name} has other layers: {EXPLAIN}"
    if better:
        message = f"{name} on {core} has become better: {'; '.join(better)}. `python benchmarks/run.py sizes` notes it"
        warnings.warn(message, stacklevel=1)


def test_what_counts_as_grown():
    before = KNOWN["models"]["int8"]["M4"]
    now = copy.deepcopy(before)
    assert sizes.worse(before, now) == sizes.better(before, now) == []
    slowest = max(before["layers"], key=before["layers"].get)
    now["layers"][slowest] = round(before["layers"][slowest] * 1.02)
    [text] = sizes.worse(before, now)
    assert f"layer {slowest}: {before['layers'][slowest]:,} -> " in text
    now["arena_bytes"] = before["arena_bytes"] * 2
    assert sizes.worse(before, now)[0].startswith("arena_bytes") and "(+100.0%)" in sizes.worse(before, now)[0]
    assert sizes.better(now, before)[0].startswith("arena_bytes")
