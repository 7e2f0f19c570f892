import io
import logging
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


def test_the_log_of_tensorflow_is_silent_in_a_notebook_too():
    cell = io.StringIO()  # the handler of a notebook writes to a stream that nobody redirects
    logger = logging.getLogger("tensorflow")
    handler = logging.StreamHandler(cell)
    logger.addHandler(handler)
    try:
        with quiet():
            logger.error("Assets written")
        logger.error("after")
    finally:
        logger.removeHandler(handler)
    assert cell.getvalue() == "after\n"
