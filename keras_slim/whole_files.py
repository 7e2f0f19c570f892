"""Files that are written whole or not at all."""

import contextlib
import os
import tempfile

from keras_slim.validation import check_writable


@contextlib.contextmanager
def written_whole(path, owner="keras-slim", ending=""):
    """Gives a path to write to; what is there at the end of the block takes its place at `path` in one step.

    If the block fails, a file that was at `path` before is still there.

    Args:
        path: Path of the file.
        owner: Name of the function, class or program that was given the path, for error messages.
        ending: What such files end with. Defaults to anything.

    Yields:
        Path of a file with the same ending, in a folder of its own beside the other.

    Raises:
        ValueError: If no file can be written there.
    """
    path = check_writable(path, "path", owner, ending)
    folder, base = os.path.split(path)
    with tempfile.TemporaryDirectory(prefix=".keras_slim_", dir=folder) as scratch:
        yield os.path.join(scratch, base)
        os.replace(os.path.join(scratch, base), path)
