import keras
import numpy as np
import pytest

from keras_slim.export.signature import ModelInput, read_signature


def functional(inputs):
    return keras.Model(inputs, keras.layers.Concatenate()([*keras.tree.flatten(inputs), *keras.tree.flatten(inputs)]))


def test_names_of_the_user_are_kept_and_those_of_keras_are_not():
    assert read_signature(functional(keras.Input((3,), name="age")), "test").structure == ModelInput(
        "age", (3,), "float32"
    )
    assert read_signature(functional(keras.Input((3,))), "test").structure.name == "input"
    inputs = [keras.Input((3,)), keras.Input((4,), name="b"), keras.Input((5,))]
    assert [leaf.name for leaf in read_signature(functional(inputs), "test").inputs] == ["input_0", "b", "input_2"]


def test_names_are_made_valid_and_stay_distinct():
    inputs = [keras.Input((3,), name="1 st"), keras.Input((4,), name="a b"), keras.Input((5,), name="a-b")]
    names = [leaf.name for leaf in read_signature(functional(inputs), "test").inputs]
    assert names == ["input_1_st", "a_b_1", "a_b_2"]


def test_keys_of_a_dictionary_are_the_names():
    model = functional({"b": keras.Input((3,), name="b"), "a": keras.Input((4,), dtype="float16", name="a")})
    signature = read_signature(model, "test")
    assert signature.structure == {"a": ModelInput("a", (4,), "float32"), "b": ModelInput("b", (3,), "float32")}
    packed = signature.pack({"a": np.zeros((1, 4)), "b": np.zeros((1, 3))})
    assert {key: array.shape for key, array in packed.items()} == {"a": (1, 4), "b": (1, 3)}


def test_sequential_model_built_without_an_input_layer():
    model = keras.Sequential([keras.layers.Dense(2)])
    model.build((None, 3))
    assert read_signature(model, "test").structure == ModelInput("input", (3,), "float32")


def test_batch_of_one_in_the_specs():
    specs = read_signature(functional(keras.Input((3,), batch_size=8)), "test").tensor_specs()
    assert (specs.shape.as_list(), specs.name) == ([1, 3], "input")


def test_model_that_is_not_built():
    with pytest.raises(ValueError, match=r"not built.*keras\.Input"):
        read_signature(keras.Sequential([keras.layers.Dense(2)]), "test")


def test_no_model_at_all():
    with pytest.raises(TypeError, match=r"`model` of `test`\. Expected a keras\.Model"):
        read_signature("model.keras", "test")


class TwoArguments(keras.Model):
    def call(self, left, right):
        return left + right


def test_call_with_several_arguments():
    model = TwoArguments()
    model(np.zeros((1, 3)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="takes one argument"):
        read_signature(model, "test")
