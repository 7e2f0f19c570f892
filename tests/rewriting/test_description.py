"""What rounds, to how many bits, and why others do not."""

import keras
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.layers import AdderDense, QuantDense, Quantize
from keras_slim.quantizers import Int, Quantizer, TrainedTernary
from keras_slim.rewriting import describe


class OwnDense(layers.Dense):
    """Derives from a layer with a twin."""


class Tenths(Quantizer):
    """A quantizer of one's own, without a name, with an option that has no usual value."""

    def __init__(self, top):
        self.top = top

    def num_values(self, place):
        return 20 * self.top + 1

    def __call__(self, x, place, training=False):
        return x

    def get_config(self):
        return {"top": self.top}


def described():
    """A model by hand: what each layer is, and how it is told."""
    inner = keras.Sequential(
        [keras.Input((4,)), QuantDense(4, kernel_quantizer=TrainedTernary(0.1), name="a"), Quantize(name="b")],
        name="in",
    )
    stack = [
        *(OwnDense(4, name="own"), QuantDense(4, name="nothing"), AdderDense(4, name="adder")),
        *(QuantDense(4, input_quantizer=Int(5), name="only"), layers.ReLU(name="relu"), layers.Dense(4, name="dense")),
        QuantDense(4, kernel_quantizer=Tenths(3), input_quantizer=Int, name="both"),
    ]
    return keras.Sequential([keras.Input((4,)), inner, *stack, layers.LayerNormalization(name="norm")], name="model")


ROWS = [
    ("in/a", "QuantDense", "trained_ternary(threshold=0.1)", None, 2, ""),
    ("in/b", "Quantize", None, "int", 8, ""),
    ("own", "OwnDense", None, None, None, "`OwnDense` derives from a layer of Keras and may compute something else"),
    ("nothing", "QuantDense", None, None, None, "left out by name, place or type"),
    (
        "adder",
        "AdderDense",
        None,
        None,
        None,
        "`AdderDense` derives from a layer of Keras and may compute something else",
    ),
    ("only", "QuantDense", None, "int(bits=5)", 5, ""),
    ("dense", "Dense", None, None, None, "left out by name, place or type"),
    ("both", "QuantDense", "Tenths(top=3)", "int", 6, ""),
    ("norm", "LayerNormalization", None, None, None, "there is no `LayerNormalization` with few bits"),
]


def test_every_layer_with_weights_is_told_as_data():
    found = describe(described())
    assert found.name == "model"
    assert [tuple(vars(row).values()) for row in found.layers] == ROWS


def test_as_text_it_is_a_table_with_a_line_for_each():
    title, head, *lines = str(describe(described())).splitlines()
    assert (title, head.split()) == ("Model 'model'", ["layer", "type", "weights", "inputs", "bits"])
    assert lines[0].split() == ["in/a", "QuantDense", "trained_ternary(threshold=0.1)", "real", "2"]
    assert lines[-1].split(maxsplit=5)[1:] == ["LayerNormalization", "real", "real", "-", ROWS[-1][-1]]
    assert len({line.index(" real") for line in lines if not line.startswith(("in/", "both", "only"))}) == 1


def test_what_quantize_leaves_is_told():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=name) for name in "abc")])
    twin = slim.quantize(model, {layers.Dense: Int(3), "a": None})
    assert [(row.bits, bool(row.why)) for row in describe(twin).layers] == [(None, True), (3, False), (None, True)]


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"`model` of `describe`.*a Keras model"):
        describe("model")
