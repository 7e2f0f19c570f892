"""keras_slim makes Keras 3 models small enough for a phone.

Prune inside `fit` with `keras_slim.callbacks`, or a trained model with `prune`; look with `profile`; export a file
that is checked against the model with `export_tflite`.
"""

from keras_slim import callbacks, datasets, export, graph, profiling, pruning, scoring
from keras_slim.export import benchmark_tflite, export_tflite, verify_tflite
from keras_slim.profiling import profile
from keras_slim.pruning import PruningPlan, mask, plan_pruning, prune, shrink

__version__ = "0.1.0"

__all__ = [
    "PruningPlan",
    "benchmark_tflite",
    "callbacks",
    "datasets",
    "export",
    "export_tflite",
    "graph",
    "mask",
    "plan_pruning",
    "profile",
    "profiling",
    "prune",
    "pruning",
    "scoring",
    "shrink",
    "verify_tflite",
]
