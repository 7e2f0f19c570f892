"""Errors name the function that the user has called, whatever noticed what is wrong."""

import inspect

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim import pruning, scoring, sharing

PLAN = pruning.PruningPlan((), (), pruning.Cost(0, 0, 0), pruning.Cost(0, 0, 0))
OF_A_MODEL = [
    slim.adderize,
    slim.export_tflite,
    slim.fold_batch_normalization,
    slim.mask,
    slim.plan_pruning,
    slim.profile,
    slim.prune,
    slim.save_compressed,
    slim.share_weights,
    slim.shrink,
    pruning.prune_layer_by_layer,
    pruning.reinitialized,
    scoring.rank_correlation,
    sharing.share_kernel_values,
]
OTHERS = {
    "path": "model.tflite",
    "ratio": 0.5,
    "plan": PLAN,
    "fine_tune": print,
    "criterion": "l2",
    "debias": "none",
    "data": None,
    "number": 2,
}


@pytest.mark.parametrize("function", OF_A_MODEL, ids=lambda each: each.__name__)
def test_what_is_no_model_is_refused_in_the_name_of_the_function(function):
    needed = [
        name for name, each in inspect.signature(function).parameters.items() if each.default is inspect.Parameter.empty
    ]
    others = {name: OTHERS[name] for name in needed if name in OTHERS}
    with pytest.raises(TypeError, match=rf"`model` of `{function.__name__}`\. Expected a .*eras.*odel\."):
        function(3, **others)


def small():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, name="hidden"), keras.layers.Dense(2)])


def test_data_that_does_not_fit_are_refused_in_the_name_of_the_function():
    with pytest.raises(ValueError, match="`data` of `prune`"):
        slim.prune(small(), 0.5, data=np.ones((8, 3), "float32"))


def test_names_as_one_string_are_refused_in_the_name_of_the_function():
    with pytest.raises(TypeError, match="`ignore` of `plan_pruning`"):
        slim.plan_pruning(small(), 0.5, ignore="hidden")


@pytest.mark.parametrize(
    ("of", "meant"), [("flops", "macs"), ("FLOPs", "macs"), ("size", "bytes"), ("time", "latency")]
)
def test_other_names_of_what_is_measured_lead_to_ours(of, meant):
    with pytest.raises(ValueError, match=f"`of` of `plan_pruning`.*Did you mean '{meant}'"):
        slim.plan_pruning(small(), 0.5, of=of)
    with pytest.raises(ValueError, match=f"`of` of `ProgressiveGlobalPruning`.*Did you mean '{meant}'"):
        slim.callbacks.ProgressiveGlobalPruning(0.5, of=of)
