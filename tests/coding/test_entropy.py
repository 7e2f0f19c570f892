"""Symbols come back, in little more than their entropy; what is no code is refused."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.coding import decode_symbols, encode_symbols, entropy, information

FEW_BYTES = 13  # what a table and a lane take at least


def geometric(share):
    return lambda rng, number: np.minimum(rng.geometric(share, number) - 1, 255)


def weighted(*weights):
    return lambda rng, number: rng.choice(len(weights), number, p=np.array(weights) / sum(weights))


def uniform(number_of_symbols):
    return lambda rng, number: rng.integers(0, number_of_symbols, number)


STREAMS = {
    "uniform, 2": uniform(2),
    "uniform, 4": uniform(4),
    "uniform, 6": uniform(6),
    "uniform, 32": uniform(32),
    "uniform, 256": uniform(256),
    "geometric, 1 %": geometric(0.01),
    "geometric, 15 %": geometric(0.15),
    "geometric, 60 %": geometric(0.6),
    "halves": weighted(8, 4, 2, 1),
    "nearly one": weighted(0.9, 0.05, 0.03, 0.02),
    "rare": weighted(0.98, 0.02),
    "ranks": weighted(*(1 / rank for rank in range(1, 33))),
    "bell": lambda rng, number: np.clip(np.rint(rng.normal(16, 5, number)), 0, 31),
}


@pytest.mark.parametrize("number", [4000, 100_000])
@pytest.mark.parametrize("name", STREAMS)
def test_a_code_is_within_3_percent_of_the_entropy(name, number):
    symbols = STREAMS[name](np.random.default_rng(0), number).astype("uint8")
    shares = np.unique(symbols, return_counts=True)[1] / number
    entropy = -(shares * np.log2(shares)).sum() * number / 8
    code = encode_symbols(symbols)
    assert len(code) <= 1.03 * entropy + FEW_BYTES
    np.testing.assert_array_equal(decode_symbols(code, number), symbols, strict=True)


@given(st.lists(st.integers(0, 255), max_size=300), st.integers(0, 8))
def test_symbols_come_back(numbers, bits):
    symbols = np.array(numbers, "uint8") >> bits
    code = encode_symbols(symbols)
    assert len(code) <= 1 + len(symbols) or len(code) == 2
    np.testing.assert_array_equal(decode_symbols(code, len(symbols)), symbols, strict=True)


def decoded(code, number):
    """Returns the symbols, or why there are none."""
    try:
        return decode_symbols(code, number).tolist()
    except ValueError as error:
        return str(error)


def test_few_lanes_are_read_as_many_are(monkeypatch):
    """Two ways to walk through a code, and one answer, whatever the code is."""
    symbols = STREAMS["nearly one"](np.random.default_rng(2), 40_000).astype("uint8")
    code = encode_symbols(symbols)
    changed = [code, code[:-2], code + b"\0\0"]
    for place in range(0, len(code), 97):
        changed.append(code[:place] + bytes([code[place] ^ 0xFF]) + code[place + 1 :])
    few = [decoded(each, symbols.size) for each in changed]
    monkeypatch.setattr(entropy, "_FEW_LANES", 0)
    assert few == [decoded(each, symbols.size) for each in changed]
    assert few[0] == symbols.tolist()
    assert {"a code ends too early", "a code does not end where it began"} <= set(map(str, few))


def test_bytes_behind_a_code_take_no_memory():
    code = encode_symbols(STREAMS["nearly one"](np.random.default_rng(2), 5000).astype("uint8"))
    code += bytes(10_000_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="longer than its symbols"):
        decode_symbols(code, 5000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_symbol_that_is_rare_among_many():
    symbols = np.zeros(300_000, "uint8")
    symbols[7], symbols[1000:1255] = 3, np.arange(255)
    np.testing.assert_array_equal(decode_symbols(encode_symbols(symbols), symbols.size), symbols)


def test_the_information_of_equal_shares():
    assert information(np.array([5, 0, 5, 5, 5])) == 40


CODES = [
    encode_symbols(STREAMS[name](np.random.default_rng(1), 500).astype("uint8"))
    for name in ("uniform, 256", "ranks", "nearly one")
] + [bytes([1, 7])]


def test_every_kind_of_code_is_among_the_samples():
    assert sorted(code[0] for code in CODES) == [0, 1, 2, 3]


@pytest.mark.parametrize("code", CODES, ids=["raw", "deflated", "coded", "constant"])
def test_what_is_no_code_is_refused(code):
    """A changed code is refused, or one of other symbols; it is never something else."""
    for number in (0, 499, 501):
        if code[0] != 1:
            with pytest.raises(ValueError, match=r"missing|left over|hold|early|began|lanes|longer"):
                decode_symbols(code, number)
    for length in range(len(code)):
        with pytest.raises(ValueError, match=r"missing|hold|early|began|damaged|multiple"):
            decode_symbols(code[:length], 500)
    for place in range(len(code)):
        changed = bytearray(code)
        changed[place] ^= 0xFF
        try:
            found = decode_symbols(bytes(changed), 500)
        except ValueError:
            continue
        assert found.shape == (500,)
