"""Arrays whose blocks share vectors: how they are cut, how patterns are found, and that they come back in few bytes."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.coding import blocks, decode_array, encode_array, take_census
from keras_slim.coding.blocks import Cut, find_fewest_patterns, find_patterns
from keras_slim.coding.shared_blocks import find_shared_blocks
from keras_slim.coding.vectors import nearest_vectors, shared_vectors


def shared_kernel(shape, size, number, codebooks=1, *, within_rows=False, zeros=0.0, dtype="float32"):
    """Returns a kernel whose blocks are drawn from codebooks, some of its weights zero."""
    rng, cut = np.random.default_rng(1), Cut(shape, size, within_rows)
    blocks = np.zeros((cut.rows, cut.columns, size), dtype)
    for rows in np.array_split(np.arange(cut.rows), codebooks):
        blocks[rows] = rng.normal(size=(number, size)).astype(dtype)[
            rng.integers(number, size=(len(rows), cut.columns))
        ]
    return np.where(rng.random(shape) < zeros, np.zeros((), dtype), cut.join(blocks))


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(1, 7), st.booleans())
def test_any_cut_joins_again(shape, size, within_rows):
    array = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    cut = Cut(tuple(shape), size, within_rows)
    blocks = cut(array)
    assert blocks.shape == (cut.rows, cut.columns, size)
    np.testing.assert_array_equal(cut.join(blocks), array)


def test_a_block_of_nine_is_a_plane_of_a_filter():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5))
    blocks = Cut(kernel.shape, 9)(kernel)
    for channel in range(4):
        for output in range(5):
            np.testing.assert_array_equal(blocks[channel, output], kernel[:, :, channel, output].ravel())


def test_the_order_is_that_of_the_blocks():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    cut = Cut(kernel.shape, 6)
    np.testing.assert_array_equal(kernel.reshape(-1, 5)[cut.order], cut(kernel).transpose(0, 2, 1).reshape(-1, 5))


def test_a_table_is_cut_within_its_rows():
    table = np.arange(12).reshape(3, 4)
    assert Cut((3, 4), 2, True)(table).tolist() == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 11]]]


CASES = {
    "dense": ((160, 50), 4, 32, 1, {}),
    "the last block is shorter": ((163, 50), 6, 32, 1, {}),
    "codebook for each": ((160, 60), 8, 16, 20, {}),
    "planes": ((3, 3, 20, 60), 9, 32, 1, {}),
    "planes, codebooks": ((3, 3, 24, 60), 9, 16, 8, {}),
    "table": ((400, 32), 4, 64, 2, {"within_rows": True}),
    "zeros": ((160, 50), 4, 16, 1, {"zeros": 0.3}),
    "float16": ((160, 50), 4, 16, 1, {"dtype": "float16"}),
    "float64": ((160, 50), 4, 16, 1, {"dtype": "float64"}),
}


@pytest.mark.parametrize("name", CASES)
def test_shared_blocks_come_back_in_the_bytes_of_codes_and_codebooks(name):
    shape, size, number, codebooks, options = CASES[name]
    kernel = shared_kernel(shape, size, number, codebooks, **options)
    code = encode_array(kernel)
    assert decode_array(code, kernel.dtype, shape).tobytes() == kernel.tobytes()
    cut = Cut(shape, size, options.get("within_rows", False))
    codes = cut.rows * cut.columns * np.log2(number) / 8
    books = codebooks * number * size * kernel.dtype.itemsize
    positions = kernel.size / 8 if options.get("zeros") else 0
    assert len(code) <= 1.05 * (codes + books + positions) + 100
    census = take_census(kernel)
    assert (census.block, census.bits, census.is_shared) == (size, int(np.log2(number)), True)


def test_codebooks_are_told_apart():
    found = find_shared_blocks(shared_kernel((3, 3, 24, 60), 9, 16, 8))
    assert (found.lengths.tolist(), found.sizes.tolist()) == ([3] * 8, [16] * 8)


def test_what_shares_nothing_has_no_blocks():
    rng = np.random.default_rng(0)
    for array in (rng.normal(size=(100, 60)), rng.integers(0, 9, (100, 60)).astype("float32"), np.zeros((100, 60))):
        assert find_shared_blocks(array) is None


def test_any_damage_to_codebooks_is_refused_or_gives_an_array():
    kernel = shared_kernel((163, 50), 6, 32, 4, zeros=0.1)
    code = encode_array(kernel)
    assert code[0] == 2
    for place in [*range(40), *range(40, len(code), 37)]:
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(code)
            changed[place] ^= change
            with contextlib.suppress(ValueError):
                assert decode_array(bytes(changed), "float32", kernel.shape).shape == kernel.shape
    for length in range(0, len(code), 11):
        with pytest.raises(ValueError, match="."):
            decode_array(code[:length], "float32", kernel.shape)


def test_blocks_longer_than_the_array_are_refused_before_memory_is_taken():
    """Each of a million outputs would be padded to 64 numbers."""
    shape, size = (1, 1_000_000), 64
    book = encode_array(np.arange(1, 1 + size, dtype="float32")[np.newaxis])[1:]
    code = bytes([2, 0, size, 0, 1, 1, 1]) + book + bytes([2, 1, 0])
    tracemalloc.start()
    with pytest.raises(ValueError, match="no array is cut into blocks like 64"):
        decode_array(code, "float32", shape)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_table_without_patterns_is_left_early(monkeypatch):
    """Pruned weights could be of one pattern each; there are no more patterns than codebooks have room for."""
    rng, looked = np.random.default_rng(0), []
    monkeypatch.setattr(blocks, "_remember", lambda *_: looked.append(1))
    table = np.where(rng.random((5000, 64)) < 0.3, 0, rng.normal(size=(5000, 64)))
    assert find_shared_blocks(table) is None
    assert len(looked) <= 256


def test_zeros_go_with_every_pattern():
    blocks = np.array([[1, 2, 3], [0, 2, 3], [4, 0, 6], [4, 5, 0], [0, 0, 0]], "uint32")
    patterns, codes = find_patterns(blocks, 2)
    assert (patterns.tolist(), codes.tolist()) == ([[1, 2, 3], [4, 5, 6]], [0, 0, 1, 1, -1])
    assert find_patterns(blocks, 1) is None


def test_parts_of_patterns_are_joined():
    """Those with a number in common first; the last one could go with either of the two, and has nothing in common."""
    parts = [[1, 2, 0, 0], [0, 0, 3, 4], [0, 2, 3, 0], [5, 0, 6, 0], [0, 7, 0, 0], [0, 0, 0, 0]]
    patterns, codes = find_fewest_patterns(np.array(parts, "uint32"), 2)
    assert (patterns.tolist(), codes.tolist()) == ([[1, 2, 3, 4], [5, 7, 6, 0]], [0, 0, 0, 1, 1, -1])
    assert find_fewest_patterns(np.array(parts, "uint32"), 1) is None


def test_patterns_that_differ_anywhere_are_apart():
    assert find_patterns(np.array([[1, 2, 3], [1, 2, 4]], "uint32"), 1) is None
    patterns, _ = find_patterns(np.array([[1, 0, 3], [1, 2, 4]], "uint32"), 2)
    assert len(patterns) == 2


def test_means_are_those_of_what_counts():
    """By hand: two clusters; the second number of the first block does not count."""
    blocks = np.array([[1.0, 9.0], [3.0, 2.0], [50.0, 60.0]])
    kept = np.array([[True, False], [True, True], [True, True]])
    assert shared_vectors(blocks, 2, kept=kept).tolist() == [[2.0, 2.0], [50.0, 60.0]]


@pytest.mark.parametrize("seed", range(3))
def test_every_block_has_the_nearest_vector_and_no_vector_is_empty(seed):
    blocks = np.random.default_rng(seed).normal(size=(500, 3))
    vectors = shared_vectors(blocks, 32, seed=seed)
    codes = nearest_vectors(blocks, vectors)
    distances = np.square(blocks[:, np.newaxis] - vectors).sum(axis=2)
    np.testing.assert_array_equal(codes, distances.argmin(axis=1))
    assert set(codes) == set(range(32))
    assert distances.min(axis=1).mean() < 0.5 * np.square(blocks).sum(axis=1).mean()
    np.testing.assert_array_equal(vectors, shared_vectors(blocks, 32, seed=seed))


def test_an_empty_vector_splits_the_largest():
    """Of many blocks that are alike and one that is far off, all vectors find different ones."""
    blocks = np.array([[0.0, 0.0]] * 50 + [[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
    assert sorted(shared_vectors(blocks, 4).tolist()) == [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 9.0]]
    assert len(shared_vectors(blocks, 9)) == 4
