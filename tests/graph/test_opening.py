"""Models as people write them, read as graphs: the twin answers like the model, and can be cut like any other."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse
from keras_slim.graph.closed import why_closed
from keras_slim.graph.opening import functional, opened
from keras_slim.pruning import Guards

rng = np.random.default_rng(0)
images = rng.normal(size=(4, 8, 8, 3)).astype("float32")
tokens = rng.integers(0, 20, (4, 6)).astype("int32")
LOOSE = Guards(min_units=1, align=1)


class ResidualBlock(layers.Layer):
    """Has a weight of its own, a flag `training`, and a block inside."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.convs = [layers.Conv2D(filters, 3, padding="same", name=f"conv_{i}") for i in range(2)]
        self.norm = layers.BatchNormalization(name="norm")
        self.gate = Gate(name="gate")
        self.drop = layers.Dropout(0.5, name="drop")

    def build(self, shape):
        self.gamma = self.add_weight(shape=shape[-1:], initializer="random_normal", name="gamma")
        self.built = True

    def call(self, x, training=None):
        y = self.norm(ops.relu(self.convs[0](x)), training=training)
        y = self.drop(self.convs[1](y), training=training)
        return ops.relu(self.gate(y) * self.gamma + x)


class Gate(layers.Layer):
    """Squeezes and excites, and creates layers without weights as it is called."""

    def build(self, shape):
        self.squeeze = layers.Dense(shape[-1] // 2, "relu", name="squeeze")
        self.excite = layers.Dense(shape[-1], "sigmoid", name="excite")
        self.built = True

    def call(self, x):
        mean = layers.GlobalAveragePooling2D()(x)
        return layers.Multiply()([x, self.excite(self.squeeze(mean))[:, None, None, :]])


class Embedded(layers.Layer):
    """Tokens and positions: an inner layer is called on a constant."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words, self.places = layers.Embedding(20, 16, name="words"), layers.Embedding(6, 16, name="places")

    def call(self, x):
        return self.words(x) + self.places(ops.arange(ops.shape(x)[-1]))


class Encoder(layers.Layer):
    """Splits heads by the sizes of what comes in, and gives out more than a tensor."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.qkv, self.out = layers.Dense(48, name="qkv"), layers.Dense(16, name="out")
        self.norm = layers.LayerNormalization(name="norm")
        self.mlp = keras.Sequential([layers.Dense(32, "gelu"), layers.Dense(16)], name="mlp")

    def call(self, x, mask=None, scores=False):
        batch, length, width = ops.shape(x)
        heads = (ops.reshape(each, (batch, length, 4, width // 4)) for each in ops.split(self.qkv(x), 3, axis=-1))
        q, k, v = (ops.transpose(each, (0, 2, 1, 3)) for each in heads)
        weights = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / 2.0)
        mixed = ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (batch, length, width))
        x = self.norm(x + self.out(mixed))
        return x + self.mlp(x), (weights if scores else None)


class Stack(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Encoder(name=f"encoder_{i}") for i in range(2)]

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")
        self.built = True

    def call(self, x):
        x = ops.concatenate([ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1])), x], axis=1)
        for block in self.blocks:
            x, _ = block(x)
        return x[:, 0]


def convolutional():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="stem")(inputs)
    x = ResidualBlock(16, name="first")(x)
    x = ResidualBlock(16, name="second")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x))), images


def stacked():
    block = ResidualBlock(8, name="block")
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(8, 3), block, layers.Flatten(), layers.Dense(3)])
    return model, images


def shared():
    inputs, block = keras.Input((8, 8, 3)), ResidualBlock(8, name="block")
    x = block(block(layers.Conv2D(8, 3)(inputs)))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), images


def inside_a_model():
    inner = keras.Input((6, 6, 8))
    body = keras.Model(inner, ResidualBlock(8, name="block")(inner), name="body")
    inputs = keras.Input((8, 8, 3))
    x = body(layers.Conv2D(8, 3)(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), images


def transformer():
    inputs = keras.Input((6,), dtype="int32")
    x = Stack(name="stack")(Embedded(name="embedded")(inputs))
    return keras.Model(inputs, layers.Dense(3)(x)), tokens


class Subclassed(keras.Model):
    """Takes a dictionary, loops over a list, passes `training` on, and puts out a dictionary."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stem = layers.Conv2D(8, 3, name="stem")
        self.blocks = [ResidualBlock(8, name=f"block_{i}") for i in range(2)]
        self.head = layers.Dense(3, name="head")

    def call(self, x, training=False):
        y = self.stem(x["image"])
        for block in self.blocks:
            y = block(y, training=training)
        return {"answer": self.head(ops.mean(y, axis=(1, 2))), "extra": ops.mean(x["extra"], axis=1)}


def subclassed():
    model, x = Subclassed(name="net"), {"image": images, "extra": images[:, :, 0, 0]}
    model(x)
    return model, x


class Autoencoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([layers.Dense(16, "relu"), layers.Dense(4)], name="encoder")
        self.decoder = keras.Sequential([layers.Dense(16, "relu"), layers.Dense(8)], name="decoder")

    def call(self, x):
        return self.decoder(self.encoder(x))


def autoencoder():
    model, x = Autoencoder(), images[:, :, 0, 0]
    model(x)
    return model, x


class Siamese(keras.Model):
    def __init__(self):
        super().__init__()
        self.tower = keras.Sequential([layers.Dense(16, "relu"), layers.Dense(4)], name="tower")
        self.head = layers.Dense(1)

    def call(self, pair):
        left, right = (self.tower(each) for each in pair)
        return self.head(ops.abs(left - right))


def siamese():
    model, x = Siamese(), [images[:, :, 0, 0], images[:, :, 1, 1]]
    model(x)
    return model, x


MODELS = [convolutional, stacked, shared, inside_a_model, transformer, subclassed, autoencoder, siamese]


def randomized(model):
    """Gives each weight, statistics and scales too, values that are all different."""
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(rng.uniform(0.2, 1.0, weight.shape) * rng.choice([-1, 1], weight.shape))
            if "variance" in weight.path:
                weight.assign(np.abs(weight.numpy()))
    return model


def assert_close(one, other):
    for left, right in zip(*map(keras.tree.flatten, (one, other)), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4 * np.abs(left).max())


@pytest.mark.parametrize("make", MODELS)
def test_the_twin_answers_like_the_model_on_the_same_weights(make):
    model, x = make()
    randomized(model)
    before = model.get_weights()
    twin = functional(model)
    assert {*map(id, twin.trainable_weights)} == {*map(id, model.trainable_weights)}
    assert {*map(id, twin.weights)} >= {*map(id, model.weights)}
    assert_close(model(x, training=False), twin(x, training=False))
    for weight in model.trainable_weights:  # the very same: what one learns the other knows
        weight.assign(weight * 1.25)
    assert_close(model(x, training=False), twin(x, training=False))
    for weight, value in zip(model.weights, before, strict=True):
        weight.assign(value)
    assert functional(twin) is twin


@pytest.mark.parametrize("make", MODELS)
def test_a_cut_is_what_its_mask_is(make):
    model, x = make()
    randomized(model)
    answer, weights = model(x, training=False), model.get_weights()
    plan = slim.plan_pruning(model, 0.3, criterion="random", debias="none", guards=LOOSE)
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    assert small.count_params() < model.count_params()
    assert_close(masked(x, training=False), small(x, training=False))
    assert not any(layer for layer in small._flatten_layers() if type(layer).__module__ == __name__)
    assert_close(model(x, training=False), answer)
    for one, two in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("make", MODELS)
def test_nothing_cut_is_the_same_and_comes_back_from_a_file(make, tmp_path):
    model, x = make()
    copy = slim.shrink(model, slim.plan_pruning(model, 0))
    copy.save(tmp_path / "copy.keras")
    for each in (copy, keras.models.load_model(tmp_path / "copy.keras")):
        assert_close(model(x, training=False), each(x, training=False))


def test_batches_of_every_size_and_in_training():
    model, x = transformer()
    twin = functional(model)
    for size in (1, 2, 3):
        assert_close(model(x[:size]), twin(x[:size]))
    model, x = convolutional()
    twin = functional(model)
    keras.utils.set_random_seed(1)
    statistics = [model.get_layer("first").norm.moving_mean.numpy().copy()]
    twin(x, training=True)
    assert not np.array_equal(model.get_layer("first").norm.moving_mean.numpy(), statistics[0])


def test_units_are_found_in_blocks_and_through_them():
    graph = analyse(functional(convolutional()[0]))
    names = {group.name: set(group.layers) for group in graph.groups}
    assert names["stem"] == {
        "stem",
        *(f"{block}/{layer}" for block in ("first", "second") for layer in ("conv_1", "gate/excite")),
    }
    assert {"first/conv_0", "first/gate/squeeze", "second/gate/squeeze"} <= set(names)
    assert [whole.layers for whole in graph.whole] == [("head",)]


def test_gradients_data_and_compensation_go_through():
    model, x = convolutional()
    y = rng.integers(0, 3, 4)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    plan = slim.plan_pruning(model, 0.3, criterion="taylor", data=(x, y), guards=LOOSE, verbose=0)
    small = slim.shrink(model, plan, x, verbose=0)
    plain = slim.shrink(model, plan)
    answer = model(x, training=False)
    assert np.square(small(x) - answer).sum() < np.square(plain(x) - answer).sum()


def test_profile_counts_what_is_inside():
    profile = slim.profile(subclassed()[0])
    assert "block_0/conv_0" in [layer.name for layer in profile.layers]
    assert not profile.unknown
    assert profile.macs > 0


def test_mixed_precision_stays():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, x = convolutional()
        twin = functional(model)
        assert twin.get_layer("first").get_layer("conv_0").compute_dtype == "bfloat16"
        np.testing.assert_allclose(*(ops.cast(each(x), "float32") for each in (model, twin)), atol=0.05)
    finally:
        keras.config.set_dtype_policy("float32")


def test_masks_go_through_blocks():
    class Head(layers.Layer):
        def __init__(self):
            super().__init__(name="head")
            self.words, self.state = layers.Embedding(20, 8, mask_zero=True), layers.GRU(8)

        def call(self, x):
            return self.state(self.words(x))

    inputs = keras.Input((6,), dtype="int32")
    model = keras.Model(inputs, Head()(inputs))
    x = np.array([[1, 2, 3, 0, 0, 0], [1, 2, 3, 4, 5, 0]])
    assert_close(model(x), functional(model)(x))


class Closed(layers.Layer):
    """Keras need not run its code to know what shape it puts out."""

    def build(self, shape):
        self.dense = layers.Dense(8, name="dense")
        self.dense.build(shape)
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.built = True

    def compute_output_shape(self, shape):
        return shape


class ByValues(Closed):
    def call(self, x):
        return self.dense(x) if ops.sum(x) > 0 else -x


class WithTensorFlow(Closed):
    def call(self, x):
        return tf.nn.relu(self.dense(x))


class ByItsWeights(Closed):
    def call(self, x):
        return self.dense(x) if float(self.dense.bias[0]) < 0.5 else -self.dense(x)


class Counting(Closed):
    def call(self, x):
        self.steps.assign_add(1)
        return self.dense(x)


class InTraining(Closed):
    def call(self, x, training=False):
        return self.dense(x) if training else x


class OfAnotherLayer(Closed):
    """Computes with a weight of the layer that it calls."""

    def call(self, x):
        return self.dense(x) @ self.dense.kernel


def around(layer):
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(2)(layer(layers.Dense(8, name="before")(inputs))))


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (ByValues, "boolean"),
        (WithTensorFlow, "TensorFlow"),
        (ByItsWeights, "values of its weights"),
        (Counting, "assign"),
        (InTraining, "depends on `training`"),
        (OfAnotherLayer, "a weight of a layer that it calls besides"),
    ],
)
def test_what_cannot_be_read_stays_closed_and_whole_and_says_why(layer, why):
    layer = layer()
    model = around(layer)
    twin = opened(model, "prune")
    assert layer in twin.layers
    assert why in why_closed(layer)
    whole = {name: each.reasons for each in analyse(twin).whole for name in each.layers}
    assert any(f"{type(layer).__name__} has no rule" in reason for reason in whole["before"])
    x = images[:, :, 0, 0]
    assert_close(model(x), slim.shrink(model, slim.plan_pruning(model, 0))(x))


class Unreadable(keras.Model):
    def __init__(self):
        super().__init__(name="unreadable")
        self.dense = layers.Dense(4)

    def call(self, x):
        x = self.dense(x)
        return tf.nn.relu(x)  # the line


def test_a_model_that_cannot_be_read_names_the_line():
    model = Unreadable()
    model(np.ones((2, 3), "float32"))
    with open(__file__) as file:
        line = 1 + [each.rstrip().endswith("# the line") for each in file].index(True)
    with pytest.raises(UnsupportedLayerError, match=rf"'unreadable'.*test_opening.py, line {line}\)"):
        slim.plan_pruning(model, 0.1)


def test_a_model_that_is_not_built_is_asked_for_inputs():
    model = Autoencoder()
    with pytest.raises(UnsupportedLayerError, match=r"not built.*inputs="):
        functional(model)
    twin = functional(model, images[:, :, 0, 0])
    assert twin.output_shape == (None, 8)


def test_inputs_give_sizes_that_a_model_leaves_open():
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, layers.Dense(3)(Stack(name="stack")(Embedded(name="embedded")(inputs))))
    twin = functional(model, tokens)
    assert twin.input_shape == (None, 6)
    assert_close(model(tokens), twin(tokens))
    assert "stack/encoder_1/mlp/dense" in [group.name.rpartition("_")[0] for group in analyse(twin).groups]


def test_parts_of_a_subclassed_model_follow_when_its_twin_is_cut_in_fit():
    model, x = autoencoder()
    prune = slim.callbacks.ProgressiveGlobalPruning(0.3, criterion="l2", rounds=1, guards=LOOSE, verbose=0)
    twin, before = functional(model), model.count_params()
    twin.compile("sgd", "mse")
    twin.fit(x, x, epochs=2, verbose=0, callbacks=[prune])
    assert twin.count_params() < before
    assert_close(twin(x), model(x))  # whose parts follow


class Routed(layers.Layer):
    """Adds to the loss, as a mixture of experts does, and masks what comes later."""

    def build(self, shape):
        self.gate, self.dense = layers.Dense(2, name="gate"), layers.Dense(shape[-1], name="dense")
        self.built = True

    def call(self, x, training=False):
        shares = ops.softmax(self.gate(x))
        if training:
            self.add_loss(ops.mean(shares))
        later = ops.tril(ops.ones((ops.shape(x)[0], ops.shape(x)[1], ops.shape(x)[1])))
        return ops.matmul(later, self.dense(x)) * shares[..., :1]


def test_what_a_layer_adds_to_the_loss_is_left_out_with_a_word_and_a_mask_for_each_sample_holds_nothing():
    inputs = keras.Input((6,), dtype="int32")
    x = Routed(name="routed")(layers.Embedding(20, 16, name="words")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    with pytest.warns(slim.errors.SlimWarning, match="'routed'.*add_loss"):
        twin = functional(model)
    assert_close(model(tokens), twin(tokens))
    graph = analyse(twin)
    assert {"words", "routed/dense"} <= {group.name for group in graph.groups}


class BuiltForOthers(layers.Layer):
    """Builds a model inside for sizes that it is then not called on, as some packages do."""

    def build(self, shape):
        self.inner = keras.Sequential([layers.Conv2D(8, 1, name="conv"), layers.ReLU()], name="inner")
        self.inner.build((None, shape[1] + 2, *shape[2:]))
        self.each = layers.TimeDistributed(Scaled(name="scaled"), name="each")
        self.built = True

    def call(self, x):
        return self.each(self.inner(x))


class Scaled(layers.Layer):
    def build(self, shape):
        self.dense = layers.Dense(8, name="dense")
        self.dense.build(shape)
        self.built = True

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return 2 * self.dense(x)


def test_a_model_inside_may_be_built_for_other_sizes():
    inputs = keras.Input((8, 8, 3))
    x = BuiltForOthers(name="block")(layers.Conv2D(8, 3, padding="same")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    twin = functional(model)
    assert not why_closed(model.get_layer("block"))
    assert_close(model(images), twin(images))
    assert twin.get_layer("block").get_layer("inner").input_shape == (None, 8, 8, 8)


class Written(layers.Layer):
    """Does what a function of itself, its input and two dense layers does."""

    def __init__(self, code, **kwargs):
        super().__init__(**kwargs)
        self.code = [code]
        self.first, self.second = layers.Dense(8, name="first"), layers.Dense(8, name="second")
        self.calls = 0

    def build(self, shape):
        self.first.build(shape)
        self.second.build(shape)
        options = {"trainable": False, "initializer": "zeros"}
        self.picks = self.add_weight(shape=(8,), dtype="int32", name="picks", **options)
        self.factor = self.add_weight(shape=(8,), initializer="ones", name="factor")
        self.picks.assign(np.arange(8)[::-1])
        self.built = True

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return self.code[0](self, x)

    def scaled(self, x):
        return x * self.factor


def counting(layer, x):
    layer.calls += 1
    return layer.first(x)


def dropping(layer, x):
    return x if np.random.random() < 0.5 else layer.first(x)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (counting, "changes `calls` of 'written'"),
        (dropping, "draws random numbers|depends on"),
        (lambda layer, x: ops.map(layer.scaled, layer.first(x)), "gives a function|traced"),
        (lambda layer, x: layer.first(x) * ops.softmax(layer.second.bias), "values"),
        (lambda layer, x: x + ops.tile(layer.factor[None, :4], (ops.shape(x)[0], 2)), "number of samples"),
    ],
)
def test_what_changes_beside_tensors_is_refused_and_left_as_it_was(code, why):
    layer = Written(code, name="written")
    model = around(layer)
    attributes = dict(vars(layer))
    twin = opened(model, "prune")
    assert layer in twin.layers
    assert any(each in why_closed(layer) for each in why.split("|"))
    assert layer.calls == attributes["calls"] or code is counting  # the comparison runs it once
    assert {*vars(layer)} == {*attributes}


def test_weights_keep_their_type_and_whether_they_learn(tmp_path):
    model = around(
        Written(lambda layer, x: ops.take(layer.first(x) * layer.factor, layer.picks, axis=1), name="written")
    )
    x = images[:, :, 0, 0]
    x = np.concatenate([x, x, x], axis=1)[:, :8]
    small = slim.prune(model, 0.3, criterion="l2", guards=LOOSE)
    small.save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    assert_close(small(x), loaded(x))
    for each in (small, loaded):
        assert {(weight.dtype, weight.trainable) for weight in each.weights} == {("float32", True), ("int32", False)}
    copy = slim.shrink(model, slim.plan_pruning(model, 0))
    assert_close(model(x), copy(x))


def test_flags_and_methods_of_the_users_own_stay():
    model, _ = convolutional()
    model.trainable = False
    model.layers[-1].trainable = True
    block = model.get_layer("first")
    call = block.norm.call
    block.norm.call = lambda *args, **kwargs: call(*args, **kwargs)
    flags, own = [layer.trainable for layer in model._flatten_layers()], block.norm.call
    functional(model)
    assert [layer.trainable for layer in model._flatten_layers()] == flags
    assert block.norm.call is own


def test_models_that_hold_blocks_are_read_inside_blocks_and_models():
    class Holding(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.Sequential([layers.Conv2D(8, 3), ResidualBlock(8, name="block")], name="body")
            self.head = layers.Dense(2)

        def call(self, x):
            return self.head(ops.mean(self.body(x), axis=(1, 2)))

    model = Holding()
    model(images)
    twin = functional(model)
    assert_close(model(images), twin(images))
    assert "body/block/conv_0" in [group.name for group in analyse(twin).groups]


def test_a_block_called_in_two_ways_has_two_names():
    inputs, block, other = keras.Input((4, 8)), Gated(name="block"), Gated(name="block_1")
    x = ops.mean(other(block(inputs)), axis=1) + block(inputs[:, 0])
    model = keras.Model(inputs, layers.Dense(2)(x))
    twin = functional(model)
    assert {"block", "block_1", "block_call_1"} <= {layer.name for layer in twin.layers}
    data = rng.normal(size=(3, 4, 8)).astype("float32")
    assert_close(model(data), twin(data))


class Gated(layers.Layer):
    def build(self, shape):
        self.dense = layers.Dense(8, name="dense")
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return self.dense(x) * x
