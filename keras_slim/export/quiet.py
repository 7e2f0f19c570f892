"""Silence for the converter, which writes its diary to the terminal from C++."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def quiet(on=True):
    """Swallows, if `on`, all that is written to the terminal inside the block, from C++ and Python alike.

    What matters is not lost: the converter's errors come as exceptions with the same text. Python's warnings pass,
    but for TensorFlow's word on an interpreter that it uses itself.
    """
    if not on:
        yield
        return
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(tempfile.TemporaryFile(mode="w+"))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(_switched_off(logging.getLogger("tensorflow")))
        for descriptor in (1, 2):
            stack.enter_context(_redirected(descriptor, sink.fileno()))
        yield


@contextlib.contextmanager
def _switched_off(logger):
    """Its handler has kept the stream of a notebook's cell, which is neither `sys.stdout` nor a descriptor."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextlib.contextmanager
def _redirected(descriptor, target):
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    kept = os.dup(descriptor)
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
