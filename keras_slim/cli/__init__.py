"""The command line, `keras-slim`: one file per command, and what they share.

A command adds its own parser and has a function that runs it. `command_line` finds the command, words its errors and
decides the exit code: 0 for success, 1 where the work failed, 2 where the command as typed cannot be right.
"""

from keras_slim.cli.command_line import main

__all__ = ["main"]
