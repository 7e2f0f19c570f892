"""`WeightSharing`: when weights become tied, which of them, and what training the shared values is worth."""

import json

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.callbacks import GradualPruning, WeightSharing
from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.sparsity import Masks, kernels

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(16, 4)).astype("float32"), RNG.normal(size=(16, 2)).astype("float32")
FIT = {"x": batches(X, Y, 4), "verbose": 0}


def build(**options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(25, "relu", name="hidden"), keras.layers.Dense(2, name="head")],
        name="net",
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse", **{"jit_compile": False, **options})
    return model


def share(*args, **options):
    return WeightSharing(*args, **{"verbose": 0, **options})


def num_values(model):
    """Returns the number of values other than zero in each kernel."""
    return [len(set(kernel.numpy()[kernel.numpy() != 0].tolist())) for kernel in kernels(model).values()]


def test_weights_are_shared_as_without_training():
    """The first step finds the kernels rounded as `share_weights` rounds them."""
    trained, rounded = build(), build()
    codes = slim.share_weights(rounded, 2)
    seen = []
    note = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(trained.get_weights()))
    sharing = share(2)
    trained.fit(**FIT, callbacks=[sharing, note])
    assert sharing.codes == codes
    for old, new in zip(rounded.get_weights(), seen[0], strict=True):
        np.testing.assert_array_equal(new, old)


def test_biases_are_tied_too_if_asked():
    model = build()
    model.fit(**FIT)
    sharing = share(2, bias_bits=3)
    before = model.layers[0].bias.numpy()
    model.fit(**FIT, epochs=2, callbacks=[sharing])
    bias = model.layers[0].bias.numpy()
    codes = sharing.codes["net/hidden/bias"]
    assert len(set(bias.tolist())) == 8
    for code in set(codes.tolist()):
        assert len(set(bias[codes == code].tolist())) == 1
    assert not np.isin(bias, before).any()


def test_epochs_before_are_free():
    model, sharing, seen = build(), share(2, free_epochs=2), []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(num_values(model)))
    model.fit(**FIT, epochs=6, initial_epoch=2, callbacks=[sharing, note])
    assert seen == [[100, 50], [100, 50], [4, 4], [4, 4]]
    assert sharing.codes is not None


def test_before_weights_are_tied_training_is_undisturbed():
    one, two, seen = build(), build(), []
    one.fit(**FIT, epochs=2)
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(two.get_weights()))
    two.fit(**FIT, epochs=3, callbacks=[share(free_epochs=2), note])
    for old, new in zip(one.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_pruned_model_stays_pruned():
    model = build()
    pruning = GradualPruning(0.8, frequency=1, verbose=0)
    model.fit(**FIT, epochs=4, callbacks=[pruning])
    model.fit(**FIT, epochs=2, callbacks=[share(2)])
    assert Masks.nonzero(model) == pruning.masks
    assert max(num_values(model)) <= 4


def test_shared_values_are_trained_further_in_another_fit():
    model, first, second = build(), share(2), share(2)
    model.fit(**FIT, callbacks=[first])
    before = model.get_weights()
    model.fit(**FIT, callbacks=[second])
    for one, two in zip(first.codes.values(), second.codes.values(), strict=True):
        assert len(set(zip(one.ravel().tolist(), two.ravel().tolist(), strict=True))) == 4  # maybe in another order
    assert all((old != new).all() for old, new in zip(before[::2], model.get_weights()[::2], strict=True))


def test_bits_by_layer_leave_the_others_free():
    model, sharing = build(), share({"head": 1})
    model.fit(**FIT, callbacks=[sharing])
    assert num_values(model) == [100, 2]
    assert list(sharing.codes) == ["net/head/kernel"]


def test_layers_can_be_left_free():
    model = build()
    model.fit(**FIT, callbacks=[share(1, ignore=["head"])])
    assert num_values(model) == [2, 50]


def test_embeddings_are_tied():
    ids = RNG.integers(0, 9, (16, 3))
    model = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.Flatten()])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(ids, np.zeros((16, 12)), epochs=2, verbose=0, callbacks=[share(2)])
    assert len(np.unique(model.layers[0].embeddings)) == 4


def test_others_judge_the_shared_network_by_its_own_epochs():
    model, best = build(), keras.callbacks.EarlyStopping("loss", patience=100, restore_best_weights=True)
    model.fit(**FIT, epochs=8, callbacks=[best, share(1, free_epochs=4)])
    assert num_values(model) == [2, 2]
    assert best.best_epoch >= 4


def test_one_line_tells_when_weights_are_tied(capsys):
    build().fit(**FIT, epochs=3, callbacks=[WeightSharing(2, free_epochs=1)])
    lines = capsys.readouterr().out.split("\n")
    assert lines == ["", "Epoch 2: weights are tied from here on, Codes(2 kernels, 8 values)", ""]


def test_too_many_free_epochs_are_refused_before_training():
    model = build()
    with pytest.raises(ValueError, match="`free_epochs` of `WeightSharing`.*fewer than the 3 epochs"):
        model.fit(**FIT, epochs=3, callbacks=[share(free_epochs=3)])
    assert model.optimizer.iterations == 0


def test_a_fit_that_ends_before_weights_are_tied_is_told():
    def stop(epoch, logs):
        model.stop_training = True

    model = build()
    with pytest.warns(SlimWarning, match="(?s)ended before `WeightSharing`.*free_epochs=2.*Share earlier"):
        model.fit(**FIT, epochs=4, callbacks=[share(free_epochs=2), keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    assert num_values(model) == [100, 50]


def test_a_fit_without_epochs_is_no_reason_to_warn():
    build().fit(**FIT, initial_epoch=2, epochs=2, callbacks=[share()])


def test_weights_that_are_not_finite_stop_fit_and_leave_nothing_behind():
    model = build()
    model.layers[0].kernel.assign(np.full((4, 25), np.nan))
    with pytest.raises(ValueError, match=r"Received NaN or infinity in \['net/hidden/kernel'\]"):
        model.fit(**FIT, callbacks=[share()])
    assert all(weight.constraint is None for weight in model.weights)
    assert "apply" not in vars(model.optimizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "`bits` of `WeightSharing`.*at least 1"),
        ({"bits": {"head": 9}}, "`bits`.*from 1 to 8"),
        ({"init": "linaer"}, r"`init`.*Did you mean 'linear'\?"),
        ({"gradient": "average"}, "`gradient`.*one of 'mean', 'sum'"),
        ({"free_epochs": -1}, "`free_epochs`.*at least 0"),
    ],
    ids=str,
)
def test_an_argument_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WeightSharing(**options)


def test_a_name_that_is_not_found_is_refused_before_training():
    for options in ({"bits": {"haed": 5}}, {"ignore": ["haed"]}):
        model = build()
        with pytest.raises(ValueError, match=r"Did you mean 'head'\?"):
            model.fit(**FIT, callbacks=[share(**options)])
        assert model.optimizer.iterations == 0
    with pytest.raises(UnsupportedLayerError, match="`WeightSharing` finds nothing to share"):
        build().fit(**FIT, callbacks=[share(ignore=["net"])])
    with pytest.raises(TypeError, match=r"`ignore`.*give \['head'\]"):
        share(ignore="head")


def test_config_survives_json():
    sharing = WeightSharing({"head": 3}, "density", "sum", free_epochs=2, ignore=["hidden"], seed=4, verbose=0)
    again = WeightSharing.from_config(json.loads(json.dumps(sharing.get_config())))
    assert again.get_config() == sharing.get_config()


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["mean", "sum"])
def test_training_makes_up_for_what_rounding_costs(gradient):
    """Two bits a weight on real data: rounding alone costs much, training the values wins it back."""
    (x, y), _, (x_test, y_test) = slim.datasets.load_digits(seed=0)
    x, x_test = (each.reshape(len(each), -1) for each in (x, x_test))
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    model.fit(x, y, epochs=20, verbose=0, callbacks=[GradualPruning(0.7, verbose=0)])

    def accuracy():
        return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]

    pruned, weights = accuracy(), model.get_weights()
    slim.share_weights(model, 1)
    rounded = accuracy()
    model.set_weights(weights)
    model.fit(x, y, epochs=20, verbose=0, callbacks=[share(1, gradient=gradient)])
    assert max(num_values(model)) <= 2
    assert accuracy() > pruned - 0.03
    assert accuracy() > rounded
