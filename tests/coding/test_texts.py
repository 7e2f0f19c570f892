import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.coding import decode_text, encode_text

WORDS = b'{"class_name":"Dense","config":{"units":'
TEXTS = [b"", b"\xff\x00", 9 * WORDS, b"0" * 100_000, b"Dense, " + bytes(range(256)) * 30]


@given(st.binary(max_size=200))
def test_any_text_comes_back(text):
    code = encode_text(text, WORDS)
    assert len(code) <= len(text) + 1
    assert decode_text(code, len(text), WORDS) == text


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back_and_damage_is_refused(text):
    code = encode_text(text, WORDS)
    assert decode_text(code, len(text), WORDS) == text
    for length in range(len(code)) if code[0] else [0]:
        with pytest.raises(ValueError, match=r"text"):
            decode_text(code[:length], len(text), WORDS)
    if code[0]:
        with pytest.raises(ValueError, match="too early"):
            decode_text(code + b"\0", len(text), WORDS)


def test_every_kind_of_code_is_among_the_samples():
    assert {encode_text(text, WORDS)[0] for text in TEXTS} == {0, 1, 2}


@pytest.mark.parametrize("text", TEXTS[1:])
def test_no_more_is_read_than_expected(text):
    """A few bytes may stand for many: a zip bomb."""
    with pytest.raises(ValueError, match=f"more than {len(text) - 1} bytes"):
        decode_text(encode_text(text, WORDS), len(text) - 1, WORDS)
