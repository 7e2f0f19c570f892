import os
import sys

import pytest

from keras_slim.export.quiet import quiet


def test_nothing_gets_through_and_all_is_restored(capfd):
    with quiet():
        print("python")
        os.write(1, b"native output")
        os.write(2, b"native error")
    print("after")
    print("after", file=sys.stderr)
    assert capfd.readouterr() == ("after\n", "after\n")


def test_off_lets_all_through(capfd):
    with quiet(False):
        os.write(2, b"native error")
    assert capfd.readouterr().err == "native error"


def test_output_comes_back_after_an_error(capfd):
    with pytest.raises(KeyError), quiet():
        raise KeyError
    os.write(1, b"after")
    assert capfd.readouterr().out == "after"
