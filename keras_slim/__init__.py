"""keras_slim makes Keras 3 models small enough for a phone.

Prune inside `fit` with `keras_slim.callbacks`, or a trained model with `prune`; look with `profile`; export a file
that is checked against the model with `export_tflite`.

Names are imported when they are first used, so that `keras-slim --help` does not wait for Keras. Where Keras is there
already, the layers are imported at once: `keras.models.load_model` finds them in files then.
"""

import importlib
import sys
from typing import TYPE_CHECKING

from keras_slim.versions import warn_of_untried

if TYPE_CHECKING:
    from keras_slim import (
        callbacks,
        compression,
        datasets,
        distillation,
        errors,
        export,
        factorization,
        graph,
        layers,
        lowrank,
        migration,
        models,
        phone,
        profiling,
        pruning,
        quantizers,
        recipes,
        reports,
        rewriting,
        schedules,
        scoring,
        sharing,
        sparsity,
        tuning,
    )
    from keras_slim.compression import load_compressed, save_compressed
    from keras_slim.export import benchmark_tflite, check_micro, evaluate_tflite, export_tflite, verify_tflite
    from keras_slim.graph.opening import functional
    from keras_slim.lowrank import factorize, plan_factorization
    from keras_slim.migration import migrate
    from keras_slim.profiling import profile
    from keras_slim.pruning import PruningPlan
    from keras_slim.pruning.prune import plan_pruning, prune
    from keras_slim.pruning.shrink import mask, shrink
    from keras_slim.recipes import Recipe
    from keras_slim.reports import report
    from keras_slim.rewriting.accuracy_control import quantize_within
    from keras_slim.rewriting.adderization import adderize
    from keras_slim.rewriting.bias_correction import correct_biases
    from keras_slim.rewriting.calibration import calibrate
    from keras_slim.rewriting.dehashing import dehash
    from keras_slim.rewriting.dequantization import dequantize
    from keras_slim.rewriting.equalization import equalize
    from keras_slim.rewriting.folding import fold_batch_normalization
    from keras_slim.rewriting.hashing import hash as hash
    from keras_slim.rewriting.quantization import quantize
    from keras_slim.rewriting.sensitivity import quantization_report
    from keras_slim.sharing import share_weights

__version__ = "0.1.0"

_HOMES = {
    "PruningPlan": "pruning",
    "Recipe": "recipes",
    "adderize": "rewriting",
    "benchmark_tflite": "export",
    "calibrate": "rewriting",
    "check_micro": "export",
    "correct_biases": "rewriting",
    "dehash": "rewriting",
    "dequantize": "rewriting",
    "equalize": "rewriting",
    "evaluate_tflite": "export",
    "export_tflite": "export",
    "factorize": "lowrank",
    "fold_batch_normalization": "rewriting",
    "functional": "graph.opening",
    "hash": "rewriting",
    "load_compressed": "compression",
    "mask": "pruning",
    "migrate": "migration",
    "plan_factorization": "lowrank",
    "plan_pruning": "pruning",
    "profile": "profiling",
    "prune": "pruning",
    "quantization_report": "rewriting",
    "quantize": "rewriting",
    "quantize_within": "rewriting",
    "report": "reports",
    "save_compressed": "compression",
    "share_weights": "sharing",
    "shrink": "pruning",
    "verify_tflite": "export",
}

# `hash` is left out, so that `from keras_slim import *` leaves Python's own as it is.
__all__ = [
    "PruningPlan",
    "Recipe",
    "adderize",
    "benchmark_tflite",
    "calibrate",
    "callbacks",
    "check_micro",
    "compression",
    "correct_biases",
    "datasets",
    "dehash",
    "dequantize",
    "distillation",
    "equalize",
    "errors",
    "evaluate_tflite",
    "export",
    "export_tflite",
    "factorization",
    "factorize",
    "fold_batch_normalization",
    "functional",
    "graph",
    "layers",
    "load_compressed",
    "lowrank",
    "mask",
    "migrate",
    "migration",
    "models",
    "phone",
    "plan_factorization",
    "plan_pruning",
    "profile",
    "profiling",
    "prune",
    "pruning",
    "quantization_report",
    "quantize",
    "quantize_within",
    "quantizers",
    "recipes",
    "report",
    "reports",
    "rewriting",
    "save_compressed",
    "schedules",
    "scoring",
    "share_weights",
    "sharing",
    "shrink",
    "sparsity",
    "tuning",
    "verify_tflite",
]


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(f"keras_slim.{_HOMES[name]}"), name)
    if name not in __all__:
        raise AttributeError(f"module 'keras_slim' has no attribute {name!r}")
    return importlib.import_module(f"keras_slim.{name}")


def __dir__():
    return sorted({*__all__, *_HOMES})


warn_of_untried()

if "keras" in sys.modules:
    importlib.import_module("keras_slim.layers")
