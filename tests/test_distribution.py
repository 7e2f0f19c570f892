"""Where a model may train, and what several processes find out together; these are tested where there are several."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_slim as slim
from keras_slim.distribution import each_alone, num_processes, of_first_process, sum_over_processes
from keras_slim.errors import UnsupportedLayerError


class OnWorkers(tf.distribute.MultiWorkerMirroredStrategy):
    """Names workers that it does not wait for."""

    workers = ("localhost:1",)

    @property
    def cluster_resolver(self):
        cluster = tf.train.ClusterSpec({"worker": self.workers})
        return tf.distribute.cluster_resolver.SimpleClusterResolver(cluster)


@pytest.fixture(scope="module")
def strategy():
    return OnWorkers()


def small_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="first"), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


CALLBACKS = {
    "ProgressiveGlobalPruning": lambda: slim.callbacks.ProgressiveGlobalPruning(0.5, criterion="l2"),
    "GradualPruning": lambda: slim.callbacks.GradualPruning(0.5),
    "QuantizationAwareTraining": slim.callbacks.QuantizationAwareTraining,
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_several_workers_of_tensorflow_are_refused_with_the_way_out(strategy, monkeypatch, name):
    monkeypatch.setattr(strategy, "workers", ("localhost:1", "localhost:2"), raising=False)
    with strategy.scope():
        model = small_model()
    with pytest.raises(UnsupportedLayerError, match=f"{name}.* 2 workers .*DataParallel`, on JAX.*20585"):
        keras.callbacks.CallbackList([CALLBACKS[name]()], model=model)


def test_one_worker_is_as_good_as_a_mirror(strategy):
    with strategy.scope():
        model = small_model()
    x = np.ones((8, 4), "float32")
    model.fit(x, x[:, :2], epochs=2, verbose=0, callbacks=[slim.callbacks.GradualPruning(0.5, verbose=0)])
    assert np.count_nonzero(model.get_layer("first").kernel.numpy()) == 16


def test_a_fit_within_the_scope_follows_the_loss_back(strategy):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    guards = slim.pruning.Guards(align=1)
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, rounds=1, data=(x, x[:, :2]), guards=guards, verbose=0)
    with strategy.scope():
        model = small_model()
        model.fit(x, x[:, :2], epochs=2, verbose=0, callbacks=[pruning])
    assert model.get_layer("first").units == 4


def test_a_process_alone_has_nobody_to_sum_with():
    model, values = small_model(), {"count": 3, "sums": np.arange(4.0)}
    assert num_processes() == 1
    assert sum_over_processes(values) is values
    assert of_first_process(values) is values
    with each_alone(model):
        model.get_layer("first").kernel.assign(np.ones((4, 8)))
    assert (model.get_layer("first").kernel.numpy() == 1).all()  # no copy was made
