"""Runs the command line as `python -m keras_slim.cli`."""

import sys

from keras_slim.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
