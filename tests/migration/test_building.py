import keras
import numpy as np
import pytest
from tfmot_by_hand import Described, entry_of, input_of

from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers import QuantDense, Quantize
from keras_slim.migration.building import Building

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
KERNEL = np.array([[0.5, 0.0], [-1.0, 0.25], [0.0, 2.0]], "float32")
BIAS = np.array([0.1, -0.2], "float32")
RANGE = {"bits": 8, "symmetric": False, "narrow_range": False, "kind": "MovingAverageQuantizer"}
OF_KERNEL = {"bits": 8, "symmetric": True, "narrow_range": True, "kind": "LastValueQuantizer", "what": "kernel"}


def built(described, description, keeps_quantizers=False):
    return Building(description, described.layers, described.arrays, keeps_quantizers)


def wrapped(kind, name="head", **config):
    return {"kind": kind, "name": f"w_{name}", "layer": entry_of("Dense", name, units=2, **config)}


def fake_quantized(x, low, high):
    """By the formula of Jacob et al., equation 12, for 255 steps."""
    scale = (high - low) / 255
    zero = np.round(-low / scale)
    return (np.clip(np.round(x / scale) + zero, 0, 255) - zero) * scale


def test_a_pruned_layer_becomes_its_inside_with_masks():
    described = Described()
    described.entries.append(input_of(3))
    weights = [described.weight("bias", BIAS), described.weight("kernel", KERNEL, mask=KERNEL != 0)]
    described.layer(**wrapped("PruneLowMagnitude"), weights=weights)
    building = built(described, described.sequential())
    assert [(type(layer), layer.name) for layer in building.model.layers] == [(keras.layers.Dense, "head")]
    np.testing.assert_allclose(building.model(X), X @ KERNEL + BIAS, atol=1e-6)
    assert building.wrapped == {"pruning": ["head"]}
    (mask,) = building.masks.values()
    np.testing.assert_array_equal(mask, KERNEL != 0)


def test_clustered_weights_are_named():
    described = Described()
    described.entries.append(input_of(3))
    weights = [described.weight("kernel", KERNEL, shared=True), described.weight("bias", BIAS)]
    described.layer(**wrapped("ClusterWeights"), weights=weights)
    building = built(described, described.sequential())
    assert building.shared == [building.model.layers[0].kernel.path]
    assert building.wrapped == {"clustering": ["head"]}


def quantized(activation="relu", which="post"):
    described = Described()
    described.entries.append(input_of(3))
    ends = {"low": described.add(np.float32(-1)), "high": described.add(np.float32(0.5))}
    module = "tensorflow_model_optimization.python"
    described.layer(
        "QuantizeLayer", "quantize_layer", ["x"], module=module, places=[{"what": "output", **RANGE, **ends}]
    )
    rounded = fake_quantized(KERNEL + 2, 0, 4) - 2  # any other numbers than the kernel's
    places = [
        {**OF_KERNEL, "low": described.add(np.float32(-2.54)), "high": described.add(np.float32(2.54))},
        {"what": which, **RANGE, "low": described.add(np.float32(-1.5)), "high": described.add(np.float32(2.5))},
    ]
    weights = [described.weight("kernel", KERNEL, rounded=rounded), described.weight("bias", BIAS)]
    activation = {"class_name": "QuantizeAwareActivation", "config": {"activation": activation}}
    wrapper = wrapped("QuantizeWrapperV2", activation=activation)
    described.layer(
        wrapper.pop("kind"), wrapper.pop("name"), ["quantize_layer"], weights=weights, places=places, **wrapper
    )
    return described, described.functional(["x"], ["w_head"]), rounded


def test_a_quantized_model_is_plain_with_the_rounded_weights():
    described, description, rounded = quantized()
    building = built(described, description)
    assert [type(layer).__name__ for layer in building.model.layers] == ["InputLayer", "Dense"]
    np.testing.assert_allclose(building.model(X), np.maximum(X @ rounded + BIAS, 0), atol=1e-6)


@pytest.mark.parametrize(("activation", "which"), [("relu", "post"), ("linear", "post"), ("tanh", "pre")])
def test_kept_quantizers_round_as_they_did(activation, which):
    described, description, _ = quantized(activation, which)
    building = built(described, description, keeps_quantizers=True)
    x = fake_quantized(X, -1, 0.5)
    sums = x @ (np.round(KERNEL / 0.02) * 0.02) + BIAS  # 127 steps of 0.02 on each side
    function = {"relu": lambda y: np.maximum(y, 0), "linear": lambda y: y, "tanh": np.tanh}[activation]
    if which == "pre":
        expected = function(fake_quantized(sums, -1.5, 2.5))
    else:
        expected = fake_quantized(function(sums), -1.5, 2.5)
    np.testing.assert_allclose(building.model(X), expected, atol=1e-5)
    kinds = [type(layer) for layer in building.model.layers[1:]]
    assert kinds[:3] == [Quantize, QuantDense, Quantize]
    assert kinds[3:] == ([keras.layers.Activation] if which == "pre" else [])


def test_a_network_inside_is_called_twice_and_operations_stand_between():
    inside = Described()
    inside.entries.append(input_of(3, name="y"))
    inside.layer("Dense", "square", ["y"], units=3)
    described = Described()
    described.entries.append(input_of(3))
    kernel = np.diag([1.0, 2.0, 3.0]).astype("float32")
    described.entries.append({**inside.functional(["y"], ["square"], "inner"), "name": "inner"})
    # The first call of a network is its own; those of others count from 1.
    described.entries[-1]["inbound_nodes"] = [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]
    weights = [described.weight("kernel", kernel), described.weight("bias", np.zeros(3, "float32"))]
    described.layers["/inner/square"] = {"weights": weights}
    module = "tf_keras.src.layers.core.tf_op_layer"
    added = described.layer("TFOpLambda", "tf.add", module=module, function="math.add")
    added["inbound_nodes"] = [["inner", 2, 0, {"y": ["inner", 1, 0], "name": None}]]
    halved = described.layer("TFOpLambda", "tf.mul", module=module, function="math.multiply")
    halved["inbound_nodes"] = [["tf.add", 0, 0, {"y": 0.5, "name": None}]]
    part = described.layer("SlicingOpLambda", "tf.item", module=module, function="__operators__.getitem")
    slices = [{"start": None, "stop": None, "step": None}, {"start": 1, "stop": None, "step": None}]
    part["inbound_nodes"] = [["tf.mul", 0, 0, {"slice_spec": slices}]]
    model = built(described, described.functional(["x"], ["tf.item", "tf.mul"])).model
    once = X @ kernel
    expected = (once @ kernel + once) / 2
    np.testing.assert_allclose(model(X)[0], expected[:, 1:], atol=1e-6)
    np.testing.assert_allclose(model(X)[1], expected, atol=1e-6)


def test_all_problems_are_named_at_once():
    described = Described()
    described.entries.append(input_of(3))
    described.layer("Lambda", "own", ["x"], function=["code"])
    described.layer("Activation", "hard", ["own"], activation="hard_sigmoid")
    described.layer("TFOpLambda", "tf.sort", function="sort", module="tf_keras.src.layers")
    with pytest.raises(UnsupportedLayerError) as error:
        built(described, described.functional(["x"], ["hard"]))
    for part in ("'own' (Lambda", "'hard' (Activation", "'tf.sort' (TFOpLambda: the operation tf.sort"):
        assert part in str(error.value)


@pytest.mark.parametrize("weights", [[("kernel", KERNEL)], [("kernel", KERNEL.T), ("bias", BIAS)]])
def test_weights_that_do_not_fit_name_their_layer(weights):
    described = Described()
    described.entries.append(input_of(3))
    described.layer("Dense", "head", units=2, weights=[described.weight(*each) for each in weights])
    with pytest.raises(UnsupportedLayerError, match="'head'"):
        built(described, described.sequential())


def test_names_with_slashes_and_a_depthwise_kernel():
    described = Described()
    described.entries.append(input_of(3, 3, 1))
    kernel = np.full((3, 3, 1, 1), 2, "float32")
    weights = [described.weight("depthwise_kernel", kernel)]
    described.layer("DepthwiseConv2D", "a/b", kernel_size=[3, 3], use_bias=False, weights=weights)
    model = built(described, described.sequential()).model
    assert [layer.name for layer in model.layers] == ["a_b"]
    assert float(model(np.ones((1, 3, 3, 1)))[0, 0, 0, 0]) == 18


def test_ranges_go_on_learning_as_those_of_tfmot():
    described, description, _ = quantized()
    model = built(described, description, keeps_quantizers=True).model
    model(X, training=True)
    (dense,) = (layer for layer in model.layers if isinstance(layer, QuantDense))
    assert float(dense.places["kernel"].variables["high"]) == 2.0  # the largest of the kernel, of the last batch alone
    (behind,) = (layer for layer in model.layers if layer.name == "quantize_layer_quantize")
    low = float(behind.places["inputs"].variables["low"])
    assert low == pytest.approx(-1)  # 0.999 of -1 and 0.001 of the lowest of X, which is -1 too
    assert float(behind.places["inputs"].variables["high"]) == pytest.approx(0.999 * 0.5 + 0.001 * 1)
