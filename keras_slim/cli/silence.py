"""Less noise on the terminal: only what the person at the command line can use."""

import contextlib
import os
import sys
import warnings


@contextlib.contextmanager
def plain_warnings():
    """Shows warnings as one line each, without the place in the code they come from."""
    with warnings.catch_warnings():
        warnings.showwarning = _show
        yield


def verbosity(args):
    """Returns 1 where a person sees a progress bar, and 0 in pipes and where JSON is asked for."""
    return int(sys.stdout.isatty() and not getattr(args, "json", False))


def quiet_imports():
    """Imports Keras and its backend, which greet from C++ on standard error before any log level is read."""
    if "keras" not in sys.modules:
        with _no_standard_error():
            import keras  # noqa: F401


def _show(message, category, *_, **__):
    print(f"keras-slim: warning: {message}", file=sys.stderr)


@contextlib.contextmanager
def _no_standard_error():
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
