"""What is exported where a metric must hold: a model that rounds all layers but those that cost too much."""

from keras_slim.errors import invalid_argument
from keras_slim.graph.opening import readable
from keras_slim.rewriting.accuracy_control import within
from keras_slim.rewriting.sensitivity import SAMPLES
from keras_slim.scoring.data import DrawnBatches, first_samples

WAY_OUT = "`slim.quantize_within` takes a `metric` and a `mode`: export what it returns."


def round_within(model, data, max_drop, quantize, verbose, owner):
    """Returns a model that rounds to 8 bits as long as a metric holds, batches to check a file on, and what stays real.

    Args:
        model: The model, compiled.
        data: Samples with targets, as `fit` takes them.
        max_drop: As for `quantize_within`.
        quantize: What the file is to hold.
        verbose: As for `quantize_within`.
        owner: Name of the function that was given them.
    """
    if quantize != "int8":
        hint = "With more bits there is no layer to leave real."
        expected = "None, as only quantize='int8' rounds activations"
        raise ValueError(invalid_argument("max_drop", owner, expected=expected, received=max_drop, hint=hint))
    if not model.compiled:
        expected, hint = "one that is compiled, with the metric that `max_drop` is for", f"Compile it; or {WAY_OUT}"
        raise ValueError(invalid_argument("model", owner, expected=expected, received=model.name, hint=hint))
    reason = "to see whether the metric holds"
    batches = first_samples(data, readable(model, owner), SAMPLES, owner=owner, targets=True, reason=reason)
    options = {"metric": None, "mode": "auto", "kernel": "int", "activations": "int", "samples": SAMPLES}
    twin, left = within(
        model, DrawnBatches(batches), max_drop, **options, verbose=verbose, owner=owner, way_out=WAY_OUT
    )
    return twin, iter(batches), left
