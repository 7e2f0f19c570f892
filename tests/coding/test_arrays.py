"""Any array comes back bit for bit, whatever way it is coded; and in about the bytes that its shape and values ask."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from keras_slim.coding import arrays, decode_array, encode_array, take_census

DTYPES = ("float32", "float64", "float16", "int8", "uint8", "int64", "bool", "complex64", "complex128", ">f4", "S3")


def check(array):
    """Checks that an array comes back, and returns how many bytes it took."""
    code = encode_array(array)
    found = decode_array(code, array.dtype, array.shape)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()
    return len(code)


def entropy_bytes(share, size):
    return -(share * np.log2(share) + (1 - share) * np.log2(1 - share)) * size / 8


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=9), fill=st.nothing())
    ),
    st.sampled_from(["as it is", "zeros", "few values", "dead rows and columns"]),
)
def test_any_array_comes_back(array, kind):
    rng = np.random.default_rng(array.size)
    if kind == "zeros":
        array = np.where(rng.random(array.shape) < 0.2, array, np.zeros_like(array))
    elif kind == "few values" and array.size:
        array = rng.choice(array.ravel()[:4], array.shape)
    elif kind == "dead rows and columns" and array.ndim > 1:
        array = array.copy()
        array[rng.random(array.shape[0]) < 0.5] = np.zeros((), array.dtype)
        array[..., rng.random(array.shape[-1]) < 0.5] = np.zeros((), array.dtype)
    check(array)


@pytest.mark.parametrize("array", [np.float32(-0.0), np.zeros((3, 0, 2)), np.arange(24.0).reshape(2, 3, 4).T])
def test_odd_shapes(array):
    check(np.asarray(array))


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, "V2"])
def test_dtypes_that_numpy_does_not_have(dtype):
    array = np.random.default_rng(0).integers(0, 256, 400, "uint8")
    check(array.view(dtype))


def test_patterns_come_back_not_values():
    """Two zeros and several NaNs that NumPy takes for equal."""
    patterns = np.array([0, 0x80000000, 0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800000], "uint32")
    check(np.random.default_rng(0).choice(patterns, (40, 30)).view("float32"))


@pytest.mark.parametrize("number", [1, 2, 3, 8, 32, 255, 256, 257])
@pytest.mark.parametrize("share", [0.05, 1])
def test_codebooks_of_any_size(number, share):
    rng = np.random.default_rng(0)
    book = rng.normal(size=number).astype("float32")
    kernel = np.where(rng.random((300, 200)) < share, rng.choice(book, (300, 200)), np.float32(0))
    size = check(kernel)
    positions = entropy_bytes(share, kernel.size) if share < 1 else 0
    codes = np.count_nonzero(kernel) * np.log2(number) / 8
    if number <= 256:
        assert size <= 1.03 * (positions + codes) + 4 * number + 40
        assert take_census(kernel).bits == np.ceil(np.log2(number))
    else:
        assert take_census(kernel).bits == 32


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1, 0.4, 0.9])
def test_positions_are_within_3_percent_of_their_entropy(share):
    kernel = (np.random.default_rng(0).random((800, 500)) < share).astype("float32")
    assert check(kernel) <= 1.03 * entropy_bytes(np.count_nonzero(kernel) / kernel.size, kernel.size) + 60


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_dead_rows_and_columns_cost_next_to_nothing(axes):
    rng = np.random.default_rng(0)
    lively = (rng.random((40, 50)) < 0.3).astype("float32").transpose(axes)
    kernel = np.zeros((800, 500), "float32")
    kernel[np.ix_(rng.permutation(800)[: len(lively)], rng.permutation(500)[: lively.shape[1]])] = lively
    assert check(kernel) < check(lively) + 110  # which 40 of 800 and 50 of 500: 99 bytes


def test_the_cheaper_order_is_taken():
    """Runs along the columns are as cheap as runs along the rows."""
    kernel = np.zeros((200, 200), "float32")
    for row, start in enumerate(np.random.default_rng(0).integers(0, 150, 200)):
        kernel[row, start : start + 40] = 1
    assert abs(check(kernel) - check(np.ascontiguousarray(kernel.T))) < 20


@pytest.mark.parametrize("value", [0.0, -0.0, 0.5, np.nan])
def test_constant_arrays_take_a_few_bytes(value):
    assert check(np.full((5, 5, 20, 50), value, "float32")) < 30


def test_large_arrays_are_coded_in_pieces(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(arrays, "_PIECE", 1000)
    monkeypatch.setattr(arrays, "_SMALL", 300)
    for share in (0.1, 0.9, 1):
        kernel = np.where(rng.random((123, 77)) < share, rng.normal(size=(123, 77)), 0).astype("float32")
        check(kernel)
        check(kernel.reshape(-1))
        check(kernel.reshape(1, -1))
        check(np.round(kernel))
    assert take_census(np.round(kernel)).values is not None
    assert take_census(kernel).kept == np.count_nonzero(kernel)


def test_a_census():
    census = take_census(np.array([[0, -0.0, 3, -0.0], [3, 0, 5, 5]], "float32"))
    assert (census.size, census.kept, census.bits) == (8, 6, 2)
    assert sorted(census.values.view("float32").tolist()) == [0, 3, 5]
    assert take_census(np.arange(6, dtype="float32")).bits == 32
    assert take_census(np.zeros((3, 0))).bits == 0


@pytest.mark.parametrize(
    ("array", "shared", "sparse"),
    [
        (np.arange(1, 9), False, False),
        (np.arange(8) % 2, True, True),
        (1 + np.arange(8) % 4, True, False),
        (np.arange(8) * (np.arange(8) > 4), False, True),
        (np.zeros(8), True, True),
    ],
)
def test_what_counts_as_shared_and_as_sparse(array, shared, sparse):
    census = take_census(array)
    assert (census.is_shared, census.is_sparse) == (shared, sparse)


@pytest.mark.parametrize("share", [0.1, 1])
def test_what_is_no_code_is_refused(share):
    """A changed code is refused, or stands for another array of the same shape; it is never something else."""
    rng = np.random.default_rng(0)
    kernel = np.where(rng.random((30, 20)) < share, rng.choice([1.0, 2.0, 3.0], (30, 20)), 0).astype("float32")
    code = encode_array(kernel)
    for length in range(len(code)):
        with pytest.raises(ValueError, match=r"."):
            decode_array(code[:length], "float32", kernel.shape)
    with pytest.raises(ValueError, match="left over"):
        decode_array(code + b"\0", "float32", kernel.shape)
    for place in range(len(code)):
        for change in (1, 0x80, 0xFF):
            changed = bytearray(code)
            changed[place] ^= change
            try:
                found = decode_array(bytes(changed), "float32", kernel.shape)
            except ValueError:
                continue
            assert found.shape == kernel.shape


def test_a_code_outside_its_codebook_is_refused():
    code = bytearray(encode_array(np.full((100,), 2.0, "float32")))
    assert code[-2:] == bytes([1, 0])  # constant, the first value
    code[-1] = 1
    with pytest.raises(ValueError, match="outside its codebook"):
        decode_array(bytes(code), "float32", (100,))
