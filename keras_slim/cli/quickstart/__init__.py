"""`keras-slim quickstart`: the whole way from training to a phone file, on real data, in two minutes.

A network is trained twice on the digits that come with the package, from the same first weights: as it is, and pruned
inside `fit`. Both are exported, checked and timed; a table, a report and a picture say what was won.
"""

from keras_slim.cli.quickstart.command import add_parser, run

__all__ = ["add_parser", "run"]
