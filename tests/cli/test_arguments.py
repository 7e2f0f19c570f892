import argparse

import pytest

from keras_slim.cli.arguments import count, path_ending_with, seed, share, share_or_one


def test_good_values():
    assert share("0.5") == 0.5
    assert share_or_one("1") == 1.0
    assert count("3") == 3
    assert seed("0") == 0
    assert path_ending_with(".keras")("a/b.keras") == "a/b.keras"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (share, "1.5", r"^expected a share in \(0, 1\), received 1\.5\. .*0\.015\.$"),
        (share, "0", r"^expected a share in \(0, 1\), received 0\.$"),
        (share, "nan", "expected a share"),
        (share, "half", "^expected a number, received 'half'$"),
        (share_or_one, "2", r"^expected a share in \(0, 1\], received 2\."),
        (count, "0", r"^expected an integer of at least 1, received 0\.$"),
        (count, "1.5", "^expected a number, received '1.5'$"),
        (seed, "-1", "at least 0, received -1"),
        (path_ending_with(".keras"), "model.h5", r"ends with \.keras, received 'model\.h5'"),
    ],
)
def test_bad_values(kind, text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        kind(text)
