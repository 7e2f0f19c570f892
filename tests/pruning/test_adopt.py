import keras
import numpy as np
import pytest
from model_zoo import inputs_for, perceptron, randomise, sequential
from zoo import all_but_slow

from keras_slim.graph import analyse
from keras_slim.pruning.adopt import STRUCTURE, adopt
from keras_slim.pruning.attributes import MODULES, PARAMETERS, TRACKER
from keras_slim.pruning.surgery import rebuild

ON_TORCH = keras.backend.backend() == "torch"
# What a compiled, trained model keeps that is no structure: it must survive a cut untouched.
TRAINING = {
    "_lock", "_run_eagerly", "_jit_compile", "compiled", "loss", "steps_per_execution", "_initial_epoch",
    "_compute_loss_has_training_arg", "_compile_loss", "_compile_metrics", "_loss_tracker", "train_function",
    "test_function", "predict_function", "unrolled_steps_per_execution", "_distribute_strategy", "optimizer",
    "stop_training", "_compiled_trainable_state", "_compile_config", "history", "stop_predicting",
    "stop_evaluating", "_eval_epoch_iterator", "_distribute_reduction_method",
}  # fmt: skip
# What a layer is, whatever is inside it.
IDENTITY = {
    "_self_setattr_tracking", "_auto_config", "build", "quantize", "_saved_model_inputs_spec",
    "_saved_model_arg_spec", "_self_update_uid", "_self_name_based_restores", "_self_saveable_object_factories",
    "name", "_inbound_nodes", "_outbound_nodes", "_remat_mode", "_dtype_policy", "activity_regularizer", "_path",
    "built", "autocast", "_input_spec", "_called", "supports_jit", "_trainable", "_call_signature",
    "call_signature_parameters", "_call_has_training_arg", "_call_has_mask_arg", "_call_context_args",
    "_call_has_context_arg", "_supports_masking", "_convert_input_args", "_allow_non_tensor_positional_args",
    "_parent_path",
}  # fmt: skip
# What PyTorch keeps of a module beside its modules: hooks, whether it is training, and nothing that Keras fills.
TORCH = {
    "_parameters", "_buffers", "_non_persistent_buffers_set", "_backward_pre_hooks", "_backward_hooks",
    "_is_full_backward_hook", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "training",
}  # fmt: skip


def half(model):
    graph = analyse(model)
    return rebuild(graph, np.arange(graph.num_units) % 2 == 0)


def reset(model):
    """Makes a stateful model answer as if for the first time."""
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_states()


@pytest.mark.parametrize("build", [perceptron, sequential])
def test_every_attribute_of_a_keras_model_is_known(build):
    """Fails when a new Keras keeps structure in an attribute that `adopt` does not move."""
    model = build()
    model.compile("adam", "mse", metrics=["mae"], jit_compile=False)
    x = inputs_for(model)
    y = np.zeros((len(x), *model.output_shape[1:]))
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.predict(x, verbose=0)
    assert set(vars(model)) <= {*STRUCTURE, TRACKER, *TRAINING, *IDENTITY, *(TORCH if ON_TORCH else ())}
    if ON_TORCH:
        assert set(vars(model)[MODULES]) <= {"_functional", PARAMETERS}
        assert not vars(model)["_parameters"]
        assert not vars(model)["_buffers"]


@pytest.mark.parametrize(
    "build",
    # Laws hold for what is in these quickly too; how the others are put together is as varied.
    all_but_slow(
        "both_directions", "convolutional_recurrent", "recurrent", "transformer", "attention_to_another_sequence",
        "attention_over_two_axes", "attention_without_projections", "grouped_query_attention", "adder_depthwise",
        "adder_residual", "adder_channels_first", "quantized_signs", "residual", "dense_concatenation", "depthwise",
        "layer_normalised",
    ),
)  # fmt: skip
def test_the_model_object_becomes_the_small_model(build, tmp_path, uncompiled_adder_layers):
    model = randomise(build())
    small, transfers = half(model)
    x = inputs_for(model)
    expected = [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(small(x))]
    reset(small)
    size, config, shapes = small.count_params(), small.get_config(), [layer.output for layer in small.layers]
    shapes = [keras.tree.map_structure(lambda tensor: tensor.shape, output) for output in shapes]
    adopt(model, small, transfers)
    assert type(model) is type(small)
    assert model.count_params() == size
    assert model.get_config() == config

    def check(candidate):
        for one, two in zip(keras.tree.flatten(candidate(x)), expected, strict=True):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), two)
        reset(candidate)

    check(model)
    model.save(tmp_path / "model.keras")
    check(keras.saving.load_model(tmp_path / "model.keras"))
    clone = keras.models.clone_model(model)
    assert [weight.shape for weight in clone.weights] == [weight.shape for weight in model.weights]
    lines = []
    model.summary(print_fn=lines.append)
    assert f"{size:,}" in "\n".join(lines)
    for layer, expected_shape in zip(model.layers, shapes, strict=True):
        assert keras.tree.map_structure(lambda tensor: tensor.shape, layer.output) == expected_shape


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras looks everywhere before it gives up
def test_weights_saved_before_a_cut_are_refused_by_keras_with_both_shapes(tmp_path):
    model = randomise(perceptron())
    model.save_weights(tmp_path / "before.weights.h5")
    old = model.get_weights()
    adopt(model, *half(model))
    now = model.get_weights()
    with pytest.raises(ValueError, match="shape"):
        model.set_weights(old)
    with pytest.raises(ValueError, match="shape"):
        model.load_weights(tmp_path / "before.weights.h5")
    assert len(now) == len(model.get_weights())


def test_what_the_user_attached_to_the_model_stays_and_follows_its_layers():
    class Own(keras.Model):
        def __init__(self):
            inputs = keras.Input((4,))
            hidden = keras.layers.Dense(16, name="hidden")
            super().__init__(inputs, keras.layers.Dense(2)(hidden(inputs)))
            self.hidden = hidden
            self.note = "mine"
            self.seen = keras.metrics.Mean(name="seen")

    model = Own()
    model.compile("adam", "mse")
    small, transfers = half(model)
    adopt(model, small, transfers)
    assert type(model) is Own
    assert model.note == "mine"
    assert model.hidden is model.get_layer("hidden")
    assert model.hidden.units == 8
    assert model.seen in model.metrics


@pytest.mark.skipif(not ON_TORCH, reason="a matter of PyTorch alone")
def test_pytorch_knows_all_parameters_and_no_others():
    class Own(keras.Model):
        def __init__(self):
            inputs = keras.Input((4,))
            hidden = keras.layers.Dense(16)
            super().__init__(inputs, keras.layers.Dense(2)(hidden(inputs)))
            self.hidden = hidden
            self.scale = self.add_weight(shape=(), name="scale", trainable=False)
            self.beside = [keras.layers.Dense(3, trainable=False)]
            self.beside[0].build((None, 2))

    model = Own()
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 4)), np.zeros((2, 2)), verbose=0)
    adopt(model, *half(model))
    assert {id(each) for each in model.parameters()} == {id(weight.value) for weight in model.weights}


@pytest.mark.parametrize("place", ["optimizer", "after the swap"])
def test_a_failure_leaves_the_model_as_it_was(monkeypatch, place):
    model = randomise(perceptron())
    model.compile("adam", "mse", jit_compile=False)
    x = inputs_for(model)
    y = np.zeros((7, 3))
    model.fit(x, y, verbose=0)
    small, transfers = half(model)
    before = dict(vars(model))
    answer = model.predict(x, verbose=0)

    def fail(*_, **__):
        raise MemoryError("no more")

    if place == "optimizer":
        monkeypatch.setattr("keras_slim.pruning.adopt.OptimizerCut", fail)
    else:
        monkeypatch.setattr(type(model), "make_train_function", fail)
    with pytest.raises(MemoryError):
        adopt(model, small, transfers)
    monkeypatch.undo()
    assert {name for name in before if before[name] is not vars(model).get(name)} <= {"predict_function"}
    np.testing.assert_array_equal(model.predict(x, verbose=0), answer)
    model.fit(x, y, verbose=0)
    adopt(model, *half(model))
    model.fit(x, y, verbose=0)
