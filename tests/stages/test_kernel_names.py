"""Kernels are named after their contents: equal ones are stored once, others do not meet."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from linked import HOST, M4, M4_GCC, ROWS, Use, built, feeds, named, need, section, written_to

from intaglio import assets, interpret
from intaglio.build import symbols
from intaglio.emit.kernels import content_hash, written
from intaglio.errors import GraphError


def test_equal_kernels_are_stored_once(tmp_path):
    """Two copies of one model take less flash than the same two with kernels of two releases, by all of the code."""
    need("arm-none-eabi-gcc")
    lean = [*M4_GCC, "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    uses = [Use(written_to(tmp_path, named(tiny_models.image(), name), M4)) for name in ("one", "two")]
    equal = built(tmp_path, lean, uses)
    kernels = {n: size for n, (_, size) in symbols(equal).items() if n.startswith("itg_")}
    flash = section(equal, ".text")[1]
    assert len(kernels) == 5 and sum(kernels.values()) > 1000
    release(uses[1].folder, {name: f"{text}\n" for name, text in kernel_texts().items()})
    unequal = built(tmp_path, lean, uses)
    assert len([n for n in symbols(unequal) if n.startswith("itg_")]) == 10
    assert section(unequal, ".text")[1] - flash >= sum(kernels.values())


def release(folder: Path, texts: Mapping[str, str]) -> None:
    """Puts the kernels of another release into a compiled folder."""
    for name, text in written(texts).items():
        if (folder / "kernels" / name).exists():
            (folder / "kernels" / name).write_text(text)


def test_unequal_kernels_of_one_name_do_not_meet(tmp_path):
    """The second model's fully connected layer is of another release, which adds one to each output."""
    need("gcc")
    graph = tiny_models.two_inputs()
    old, new = (written_to(tmp_path, named(graph, name)) for name in ("old", "new"))
    texts = kernel_texts()
    changed = texts["fully_connected.c"].replace(
        "*out++ = (int8_t)itg_clamp(sum, ", "*out++ = (int8_t)itg_clamp(sum + 1, "
    )
    assert changed != texts["fully_connected.c"]
    release(new, {**texts, "fully_connected.c": changed})
    elf = built(tmp_path, HOST["gcc"], [Use(old), Use(new)])
    given = feeds([graph])[0]
    (tmp_path / "in.bin").write_bytes(b"".join(x[r].tobytes() for r in range(ROWS) for _ in (1, 2) for x in given))
    subprocess.run([elf], cwd=tmp_path, check=True, timeout=60)
    found = np.frombuffer((tmp_path / "out.bin").read_bytes(), np.int8).reshape(ROWS, 2, 7).astype(int)
    expected = np.concatenate([out.reshape(ROWS, -1) for out in interpret.run(graph, given)], axis=1).astype(int)
    np.testing.assert_array_equal(found[:, 0], expected)
    np.testing.assert_array_equal(found[:, 1, :5], expected[:, :5])
    np.testing.assert_array_equal(found[:, 1, 5:], np.minimum(expected[:, 5:] + 1, 127))
    assert (found[:, 0] != found[:, 1]).any()


def kernel_texts() -> dict[str, str]:
    folders = (assets.root() / "runtime_c" / "kernels").iterdir()
    return {p.name: p.read_text() for folder in sorted(folders) for p in sorted(folder.iterdir())}


def test_every_kernel_has_a_name_of_its_contents_and_is_weak(tmp_path):
    """What the compiler defines is what the names were made for: no function is left out."""
    need("gcc")
    texts = kernel_texts()
    (tmp_path / "kernels").mkdir()
    shutil.copy(assets.root() / "runtime_c" / "include" / "itg.h", tmp_path)
    for name, text in written(texts).items():
        (tmp_path / "kernels" / name).write_text(text)
    names = [n for n in texts if n.endswith(".c")]
    subprocess.run(["gcc", "-std=c99", "-O0", "-c", *names], cwd=tmp_path / "kernels", check=True, timeout=300)
    for name in names:
        listed = subprocess.run(
            ["nm", "--defined-only", "-g", name.replace(".c", ".o")], cwd=tmp_path / "kernels", check=True,
            capture_output=True, text=True,
        ).stdout.split("\n")[:-1]  # fmt: skip
        found = [line.split()[1:] for line in listed]
        assert found and all(kind == "W" for kind, _ in found), name
        assert all(symbol.endswith(f"_{content_hash(name, texts)}") for _, symbol in found), name


def test_the_hash_is_of_all_that_a_kernel_is_made_of():
    texts = kernel_texts()

    def changes(name: str) -> set[str]:
        other = {**texts, name: texts[name] + "\n"}
        return {n for n in texts if n.endswith(".c") and content_hash(n, other) != content_hash(n, texts)}

    assert {"conv2d.c", "conv2d_borders.c"} <= changes("conv2d.c")  # the second calls the first
    assert changes("conv2d_borders.c") == {"conv2d_borders.c"}
    assert {"conv2d.c", "conv2d_s4.c", "fully_connected.c"} <= changes("fixed.h")
    assert "conv2d_f32.c" not in changes("fixed.h")


def test_a_header_may_include_what_only_some_compilers_have():
    guarded = """#ifndef ITG_X_H
#define ITG_X_H

#include <stdint.h>
#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

void itg_x(void);

#endif
"""
    source = '#include "x.h"\n\nvoid itg_x(void)\n{\n}\n'
    header = written({"x.h": guarded, "x.c": source})["x.h"]
    assert (
        header.index("#include <arm_acle.h>\n#endif")
        < header.index('extern "C" {')
        < header.index("#define itg_x itg_x_")
    )
    assert header.index("#define itg_x itg_x_") < header.index("void itg_x(void);")


def test_a_kernel_may_share_a_header_and_must_have_one():
    header = "#ifndef ITG_X_H\n#define ITG_X_H\n\nvoid itg_x(void);\nvoid itg_y(void);\n\n#endif\n"
    source = '#include "x.h"\n\nvoid itg_NAME(void)\n{\n}\n'
    both = {"x.h": header, "x.c": source.replace("NAME", "x"), "y_dsp.c": source.replace("NAME", "y")}
    text = written(both)["x.h"]
    for name, file in (("itg_x", "x.c"), ("itg_y", "y_dsp.c")):
        assert f"#define {name} {name}_{content_hash(file, both)}\n" in text
    with pytest.raises(GraphError, match=r"kernel z\.c: defines itg_z"):
        written({**both, "z.c": source.replace("NAME", "z")})
    late = header.replace("void itg_y(void);", "#include <string.h>\nvoid itg_y(void);")
    with pytest.raises(GraphError, match="declares a kernel before its last #include"):
        written({**both, "x.h": late})
