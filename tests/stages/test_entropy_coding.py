"""Entropy coding of weights: what is coded comes back, in Python and in C, which reads all it is given and no more."""

import functools
import heapq
import itertools
import struct
import subprocess

import numpy as np
import pytest
from harness import SANITIZE, STRICT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intaglio import assets
from intaglio.codecs import huffman, nonzeros, tans

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
    """The program for each coder, built by one compiler: GCC's with ASan and UBSan, clang's with UBSan alone, whose
    checks trap and so need none of clang's run-time libraries (a package of their own)."""
    folder = tmp_path_factory.mktemp("entropy")
    sanitize = ["-O1", "-g", "-fsanitize=undefined", "-fsanitize-trap=undefined"]
    sanitize = sanitize if request.param == "clang" else SANITIZE
    strict = [*STRICT[1:], "-std=c++11"] if request.param == "g++" else STRICT
    kernels = assets.root() / "runtime_c" / "kernels" / "c"
    built = {}
    for coder in CODERS:
        source = folder / f"{coder}.{'cc' if request.param == 'g++' else 'c'}"
        source.write_text(PROGRAM.replace("BEGIN", BEGIN[coder]).replace("huffman", coder))
        built[coder] = folder / coder
        command = [request.param, *strict, *sanitize, "-I", kernels, source, "-o", built[coder]]
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
    skewed = np.repeat(np.arange(1, 15, dtype=np.int8), [1 << i for i in range(14)])  # codes of 13 bits, if they could
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


@functools.cache
def coded_kinds(coder):
    return [CODERS[coder].encode(weights) for weights in all_kinds()]


@pytest.mark.parametrize("coder", CODERS)
def test_edges_come_back_in_python(coder):
    for weights, coded in zip(all_kinds(), coded_kinds(coder), strict=True):
        np.testing.assert_array_equal(CODERS[coder].decode(coded), weights)


@pytest.mark.parametrize("coder", CODERS)
def test_edges_come_back_in_c(coder, programs):
    kinds = all_kinds()
    found = device(programs[coder], coded_kinds(coder))
    for i, weights in enumerate(kinds):
        np.testing.assert_array_equal(found[2 * i], weights)
        np.testing.assert_array_equal(found[2 * i + 1], weights)


@st.composite
def layers(draw):
    """Any shape, density and alphabet, and gaps that reach far."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = draw(st.lists(st.integers(-128, 127), min_size=1, max_size=draw(st.sampled_from([1, 3, 40, 256]))))
    density = draw(st.sampled_from([0.0, 0.001, 0.03, 0.2, 0.6, 0.95, 1.0]))
    weights = sparse(rng, draw(st.integers(0, 12)), draw(st.integers(0, 90)), density, values)
    if draw(st.booleans()):
        weights = np.zeros((2, draw(st.integers(1, 66_000))), np.int8)
        weights.ravel()[rng.integers(0, weights.size, draw(st.integers(0, 20)))] = values[0]
    return weights


@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(some=st.lists(layers(), min_size=1, max_size=5))
def test_any_layers_come_back(coder, programs, some):
    coded = [CODERS[coder].encode(weights) for weights in some]
    found = device(programs[coder], coded)
    for i, weights in enumerate(some):
        np.testing.assert_array_equal(CODERS[coder].decode(coded[i]), weights)
        np.testing.assert_array_equal(found[2 * i], weights)
        np.testing.assert_array_equal(found[2 * i + 1], weights)


def prefix_code_cost(counts):
    """Bits of the best prefix code of any length: each merge costs its weight."""
    heap = sorted(counts)
    cost = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        cost += merged
        heapq.heappush(heap, merged)
    return cost


@settings(max_examples=200, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(1, 10_000), min_size=2, max_size=100))
def test_code_lengths_are_those_of_huffman(counts):
    lengths = huffman.code_lengths(counts, 30)
    assert sum(c * n for c, n in zip(counts, lengths, strict=True)) == prefix_code_cost(counts)
    assert sum(2.0**-n for n in lengths) == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(counts=st.lists(st.sampled_from([1, 2, 5, 30, 200, 3000]), min_size=2, max_size=6), limit=st.integers(3, 4))
def test_code_lengths_are_the_best_under_the_limit(counts, limit):
    lengths = huffman.code_lengths(counts, limit)
    assert max(lengths) <= limit
    every = itertools.product(range(1, limit + 1), repeat=len(counts))
    best = min(sum(c * n for c, n in zip(counts, ls, strict=True)) for ls in every if sum(2.0**-n for n in ls) <= 1)
    assert sum(c * n for c, n in zip(counts, lengths, strict=True)) == best


def test_more_symbols_than_codes_are_refused():
    with pytest.raises(ValueError, match="9 symbols"):
        huffman.code_lengths([1] * 9, 3)
    with pytest.raises(ValueError, match="40 symbols"):
        tans.scale([1] * 40, 32)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(1, 3000), min_size=2, max_size=4))
def test_frequencies_are_the_best(counts):
    def bits(frequencies):
        return sum(c * -np.log2(f / 32) for c, f in zip(counts, frequencies, strict=True))

    found = tans.scale(counts, 32)
    every = (fs for fs in itertools.product(range(1, 32), repeat=len(counts)) if sum(fs) == 32)
    assert sum(found) == 32 and min(found) >= 1
    assert bits(found) <= min(map(bits, every)) + 1e-6


def pruned(rng, density, entries):
    """Laplacian weights pruned by magnitude, the rest rounded to `entries` values."""
    weights = np.abs(rng.laplace(size=(100, 300)))
    least = np.quantile(weights, 1 - density)
    step = (np.quantile(weights, 1 - density / 200) - least) / (entries / 2)
    kept = np.clip(np.ceil((weights - least) / step), 1, entries / 2)
    return np.where(weights >= least, kept * rng.choice([-1, 1], weights.shape), 0).astype(np.int8)


@pytest.mark.parametrize(("density", "entries"), [(0.02, 8), (0.05, 2), (0.1, 16), (0.2, 4), (0.5, 32), (0.9, 4)])
def test_bytes_are_near_the_entropy(density, entries):
    weights = pruned(np.random.default_rng(7), density, entries)
    best = min((coder.encode(weights) for coder in CODERS.values()), key=lambda coded: coded.nbytes)
    bound = nonzeros.entropy_bytes(weights)
    assert bound * 0.99 < best.stream.nbytes < bound * 1.05
    assert best.nbytes < bound * 1.09


def test_tans_takes_less_where_one_symbol_is_most_of_all():
    weights = np.random.default_rng(3).choice(np.array([1, 2, 3], np.int8), (50, 100), p=[0.9, 0.05, 0.05])
    assert tans.encode(weights).nbytes < 0.6 * huffman.encode(weights).nbytes


def test_nonzeros_need_no_more_for_many_short_rows():
    weights = sparse(np.random.default_rng(4), 2000, 10, 0.05, [-1, 1])
    for coder in CODERS.values():
        assert coder.encode(weights).stream.nbytes == coder.encode(weights.reshape(10, 2000)).stream.nbytes


def test_fillers_are_few():
    """Each takes as long as a symbol: without their price there would be one a nonzero."""
    gaps = nonzeros.histogram(nonzeros.split(pruned(np.random.default_rng(0), 0.05, 16))[0])
    code = nonzeros.gap_codes(gaps)[0]
    assert nonzeros.gap_histogram(gaps, code).get(code.filler, 0) < 0.2 * sum(gaps.values())
