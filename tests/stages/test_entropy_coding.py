"""Entropy coding of weights: what is coded comes back, in Python and in C, which reads all it is given and no more."""

import struct
import subprocess

import numpy as np
import pytest
from harness import SANITIZE, STRICT

from intaglio import assets
from intaglio.compress import huffman, tans

CODERS = {"huffman": huffman, "tans": tans}

# Decodes each case twice, by rows and nonzero by nonzero. Buffers are sized exactly, so that ASan sees a step outside.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "huffman.h"

static void *get(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL || fread(p, 1, n, stdin) != n) exit(3);
    return p;
}

static void sparse_row(itg_huffman *d, int8_t *row, int32_t columns)
{
    int32_t i;
    memset(row, 0, (size_t)columns);
    for (i = d->gap; i < columns; i += 1 + itg_huffman_gap(d)) row[i] = (int8_t)itg_huffman_value(d);
    d->gap = i - columns;
}

int main(void)
{
    int32_t head[5]; /* rows, columns, bytes of tables, halfwords of stream, bytes of scratch */
    while (fread(head, sizeof head[0], 5, stdin) == 5) {
        uint8_t *tables = (uint8_t *)get((size_t)head[2]);
        uint16_t *stream = (uint16_t *)get((size_t)head[3] * 2);
        void *scratch = malloc((size_t)head[4]);
        int8_t *row = (int8_t *)malloc((size_t)head[1] > 0 ? (size_t)head[1] : 1);
        for (int way = 0; way < 2; way++) {
            itg_huffman d;
            BEGIN;
            for (int32_t r = 0; r < head[0]; r++) {
                if (way == 0) itg_huffman_row(&d, row, head[1]); else sparse_row(&d, row, head[1]);
                fwrite(row, 1, (size_t)head[1], stdout);
            }
            if (d.gap != 0 || d.in.next != stream + head[3]) exit(4);
        }
        free(tables);
        free(stream);
        free(row);
        free(scratch);
    }
    return 0;
}
"""
BEGIN = {
    "huffman": "(void)scratch; itg_huffman_begin(&d, tables, stream)",
    "tans": "itg_tans_begin(&d, tables, stream, (itg_tans_entry *)scratch)",
}


@pytest.fixture(scope="module", params=["gcc", "clang", "g++"])
def programs(request, tmp_path_factory):
    """The program for each coder, built by one compiler with ASan and UBSan."""
    folder = tmp_path_factory.mktemp("entropy")
    strict = [*STRICT[1:], "-std=c++11"] if request.param == "g++" else STRICT
    kernels = assets.root() / "runtime_c" / "kernels" / "c"
    built = {}
    for coder in CODERS:
        source = folder / f"{coder}.{'cc' if request.param == 'g++' else 'c'}"
        source.write_text(PROGRAM.replace("BEGIN", BEGIN[coder]).replace("huffman", coder))
        built[coder] = folder / coder
        command = [request.param, *strict, *SANITIZE, "-I", kernels, source, "-o", built[coder]]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
    return built


def device(program, coded):
    """What the C decodes, by rows and nonzero by nonzero, of each of several layers."""
    data = b"".join(
        struct.pack("=5i", *c.shape, c.tables.size, c.stream.size, c.ram_bytes)
        + c.tables.tobytes()
        + c.stream.tobytes()
        for c in coded
    )
    ran = subprocess.run([program], input=data, capture_output=True, timeout=120)
    assert ran.returncode == 0, f"{ran.returncode} {ran.stderr.decode()[:3000]}"
    out = np.frombuffer(ran.stdout, np.int8)
    found, at = [], 0
    for c in coded:
        size = c.shape[0] * c.shape[1]
        for _ in range(2):
            found.append(out[at : at + size].reshape(c.shape))
            at += size
    assert at == out.size
    return found


def sparse(rng, rows, columns, density, values):
    """Random rows of which `density` are nonzero, their values from `values`."""
    weights = rng.choice(np.asarray(values, np.int8), (rows, columns))
    weights[rng.random((rows, columns)) >= density] = 0
    return weights


def all_kinds():
    """Layers at the edges: no weights, no nonzeros, no zeros, one value, all values, the longest gaps."""
    rng = np.random.default_rng(1)
    nonzero = [v for v in range(-128, 128) if v]
    far = np.zeros((2, 140_000), np.int8)
    far[0, [0, 65_536]] = 5, -5
    far[1, 139_999] = -128
    skewed = np.repeat(np.arange(1, 24, dtype=np.int8), [1 << min(i, 14) for i in range(23)])
    return [
        np.zeros((0, 5), np.int8),
        np.zeros((3, 0), np.int8),
        np.zeros((1, 1), np.int8),
        np.zeros((7, 1000), np.int8),
        np.full((1, 1), -128, np.int8),
        np.full((9, 31), 127, np.int8),
        np.array([nonzero], np.int8),
        sparse(rng, 20, 300, 1.0, nonzero),
        sparse(rng, 20, 300, 0.5, nonzero),
        sparse(rng, 1, 5000, 0.02, [1]),
        sparse(rng, 300, 1, 0.3, [-1, 1]),
        sparse(rng, 64, 64, 0.1, rng.integers(-8, 8, 64)),
        rng.permutation(skewed)[None, :],
        far,
        far[::-1],
    ]


@pytest.mark.parametrize("coder", CODERS)
def test_edges_come_back_in_python(coder):
    for weights in all_kinds():
        coded = CODERS[coder].encode(weights)
        np.testing.assert_array_equal(CODERS[coder].decode(coded), weights)


@pytest.mark.parametrize("coder", CODERS)
def test_edges_come_back_in_c(coder, programs):
    kinds = all_kinds()
    found = device(programs[coder], [CODERS[coder].encode(weights) for weights in kinds])
    for i, weights in enumerate(kinds):
        np.testing.assert_array_equal(found[2 * i], weights)
        np.testing.assert_array_equal(found[2 * i + 1], weights)
