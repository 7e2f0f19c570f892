import keras
import pytest
from tfmot_by_hand import entry_of

from keras_slim.migration.layers import NoCounterpartError, made_layer

NO_OP = {
    "class_name": "QuantizeAwareActivation",
    "config": {"activation": {"class_name": "NoOpActivation", "config": {}}},
}
LSTM = entry_of("LSTM", "lstm", units=2, time_major=False, implementation=2)


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("Dense", {"units": 2, "batch_input_shape": [None, 3]}, {"units": 2}),
        ("Dense", {"units": 2, "activation": NO_OP}, {"activation": "linear"}),
        ("Conv2D", {"filters": 2, "kernel_size": [3, 3], "groups": 2}, {"groups": 2, "kernel_size": (3, 3)}),
        ("DepthwiseConv2D", {"kernel_size": [3, 3], "groups": 1}, {"kernel_size": (3, 3)}),
        ("BatchNormalization", {"axis": [3], "epsilon": 0.1}, {"axis": 3, "epsilon": 0.1}),
        ("SyncBatchNormalization", {"axis": [-1]}, {"axis": -1}),
        ("LeakyReLU", {"alpha": 0.25}, {"negative_slope": 0.25}),
        ("ReLU", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}, {"max_value": 6.0}),
        ("GRU", {"units": 2, "time_major": False, "reset_after": True}, {"units": 2, "reset_after": True}),
        ("Embedding", {"input_dim": 5, "output_dim": 2, "input_length": 7}, {"input_dim": 5}),
        ("Dense", {"units": 2, "dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}}, {}),
    ],
)
def test_a_layer_has_the_config_it_had(kind, config, expected):
    layer = made_layer(entry_of(kind, "it", **config))
    found = layer.get_config()
    assert layer.name == "it"
    assert {key: found[key] for key in expected} == expected
    precision = "mixed_float16" if isinstance(config.get("dtype"), dict) else "float32"
    assert layer.dtype_policy.name == precision


@pytest.mark.parametrize("kind", ["Bidirectional", "TimeDistributed"])
def test_a_layer_in_a_wrapper_of_keras_is_translated_too(kind):
    layer = made_layer(entry_of(kind, "it", layer=LSTM))
    assert layer(keras.ops.zeros((1, 2, 3, 4) if kind == "TimeDistributed" else (1, 3, 4))).shape[0] == 1


@pytest.mark.parametrize(
    ("kind", "config", "reason"),
    [
        ("Lambda", {"function": ["code"]}, "Python code"),
        ("LocallyConnected2D", {"filters": 2}, "no layer of this name"),
        ("LSTM", {"units": 2, "time_major": True}, "no argument `time_major`, here True"),
        ("DepthwiseConv2D", {"kernel_size": [3, 3], "groups": 3}, "no argument `groups`, here 3"),
        ("Activation", {"activation": "hard_sigmoid"}, "means something else"),
        ("GRU", {"units": 2, "recurrent_activation": "hard_sigmoid"}, "means something else"),
        ("Dense", {"units": -1}, "does not make it"),
        ("Bidirectional", {"layer": entry_of("LSTM", "a", units=2, time_major=True)}, "no argument `time_major`"),
    ],
)
def test_what_has_no_counterpart_has_a_reason(kind, config, reason):
    with pytest.raises(NoCounterpartError, match=reason):
        made_layer(entry_of(kind, "it", **config))


def test_a_layer_of_the_users_own_is_said_to_be_one():
    with pytest.raises(NoCounterpartError, match="layer of your own, from mine.layers"):
        made_layer(entry_of("Special", "it", module="mine.layers"))
