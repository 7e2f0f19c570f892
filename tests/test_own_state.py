"""Copies remember what the layers they are made from remember, beside their weights too."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from laws import rebuilt

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.export.precision import in_float32
from keras_slim.held import has_own_state
from keras_slim.own_state import carry_state
from keras_slim.reinitialization import fresh_clone
from keras_slim.remaking import config_of, made_from


def uncut(model):
    return slim.plan_pruning(model, 0, criterion="l2")


VERBS = {
    "rebuilt": rebuilt,
    "shrink": lambda model: slim.shrink(model, uncut(model)),
    "mask": lambda model: slim.mask(model, uncut(model)),
    "fold": slim.fold_batch_normalization,
    "adderize": slim.adderize,
    "fresh": fresh_clone,
    "again": lambda model: slim.fold_batch_normalization(slim.shrink(model, uncut(model))),
}


def adapted(layer, data):
    layer.adapt(data)
    return layer


numbers = np.array([3, 5, 7, 5])
words = np.array(["red", "green", "blue", "green"])
reals = np.random.default_rng(0).normal(4, 2, (32, 3)).astype("float32")


def lookup(make, given):
    def model():
        layer = make()
        inputs = keras.Input((1,), dtype=given.dtype.name if given.dtype.kind == "i" else "string")
        x = layer(inputs)
        x = (
            layers.Flatten()(layers.Embedding(6, 4)(x))
            if isinstance(layer, layers.TextVectorization) or layer.output_mode == "int"
            else ops.cast(x, "float32")
        )
        return head(inputs, x), np.unique([*given, given[0]])[:, None]

    return model


def head(inputs, x):
    x = layers.Dense(6, "tanh")(layers.BatchNormalization()(layers.Dense(6)(x)))
    return keras.Model(inputs, layers.Dense(2)(x))


def on_reals(make):
    def model():
        inputs = keras.Input((3,))
        return head(inputs, ops.cast(make()(inputs), "float32")), reals

    return model


class Table(layers.Layer):
    """Adds rows of a table of the user's own, which its saving hooks keep; its weight is saved as an array."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = np.zeros(3, "float32")

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale + self.table

    def compute_output_shape(self, shape):
        return shape

    def save_own_variables(self, store):
        store["scale"] = np.array(self.scale)
        store["table"] = self.table

    def load_own_variables(self, store):
        self.scale.assign(store["scale"])
        self.table = np.array(store["table"])


class Asset(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shift = 0.0

    def call(self, inputs):
        return inputs + self.shift

    def save_assets(self, folder):
        with open(f"{folder}/shift.txt", "w") as file:
            file.write(str(self.shift))

    def load_assets(self, folder):
        with open(f"{folder}/shift.txt") as file:
            self.shift = float(file.read())


def with_table():
    layer = Table()
    layer.table = np.array([1, 2, 3], "float32")
    return layer


def with_asset():
    layer = Asset()
    layer.shift = 2.5
    return layer


def table_inside():
    inputs = keras.Input((3,))
    x = layers.TimeDistributed(with_table())(layers.Reshape((1, 3))(inputs))
    return head(inputs, layers.Flatten()(x)), reals


KINDS = {
    "IntegerLookup": lookup(lambda: adapted(layers.IntegerLookup(), numbers), numbers),
    "IntegerLookup tf_idf": lookup(
        lambda: adapted(layers.IntegerLookup(output_mode="tf_idf"), numbers[:, None]), numbers
    ),
    "StringLookup": lookup(lambda: adapted(layers.StringLookup(), words), words),
    "StringLookup multi_hot": lookup(lambda: adapted(layers.StringLookup(output_mode="multi_hot"), words), words),
    "TextVectorization": lookup(
        lambda: adapted(layers.TextVectorization(output_sequence_length=2), words), words
    ),
    "Normalization": on_reals(lambda: adapted(layers.Normalization(), reals)),
    "Discretization": on_reals(lambda: adapted(layers.Discretization(num_bins=4), reals)),
    "own table": on_reals(with_table),
    "own assets": on_reals(with_asset),
    "own table inside": table_inside,
    "Hashing": lookup(lambda: layers.Hashing(6, salt=[3, 4]), words),
}  # fmt: skip


def as_given(x):
    return ops.convert_to_tensor(x) if x.dtype.kind != "U" else tf.constant(x)


@pytest.mark.parametrize("verb", ["rebuilt", "shrink", "mask", "again"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_with_nothing_cut_answers_bit_alike(kind, verb, tmp_path):
    model, x = KINDS[kind]()
    copy, x = VERBS[verb](model), as_given(x)
    same = np.testing.assert_array_equal if verb != "again" else np.testing.assert_allclose
    same(copy(x), model(x), *([1e-5, 1e-5] if verb == "again" else []))


def state_of(model):
    """Returns what is put out by the first layers, with a state in one of them."""
    return keras.Model(model.inputs, model.layers[2 if isinstance(model.layers[1], layers.Reshape) else 1].output)


@pytest.mark.parametrize("verb", ["fold", "adderize", "fresh"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_goes_into_every_copy(kind, verb):
    model, x = KINDS[kind]()
    copy, x = VERBS[verb](model), as_given(x)
    np.testing.assert_array_equal(state_of(copy)(x), state_of(model)(x))


@pytest.mark.parametrize("kind", ["StringLookup", "Normalization", "own table", "own assets"])
def test_the_state_goes_into_the_float32_copy(kind):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, x = KINDS[kind]()
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(in_float32(model)(as_given(x)), model(as_given(x)), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("kind", ["IntegerLookup", "Normalization"])
def test_in_fit_and_in_a_file(kind, tmp_path):
    model, x = KINDS[kind]()
    model.compile("sgd", "mse")
    prune = slim.callbacks.ProgressiveGlobalPruning(0.2, criterion="l2", rounds=1, verbose=0)
    model.fit(x, np.ones((len(x), 2)), epochs=2, verbose=0, callbacks=[prune])
    model.save(tmp_path / "cut.keras")
    loaded = keras.models.load_model(tmp_path / "cut.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_the_copy_is_a_layer_apart():
    model, x = KINDS["IntegerLookup"]()
    copy = VERBS["shrink"](model)
    before = copy(as_given(x)).numpy()
    model.layers[1].adapt(np.array([100, 200]))
    np.testing.assert_array_equal(copy(as_given(x)), before)


def test_seeds_go_along():
    inputs = keras.Input((64,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5, seed=3)(layers.Dense(8)(inputs))))
    x = np.ones((4, 64), "float32")
    model(x, training=True)
    copy = slim.fold_batch_normalization(model)
    np.testing.assert_array_equal(copy(x, training=True), model(x, training=True))


class Counted(Table):
    """Its table has one number, so that it fits whatever the width."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = np.zeros(1, "float32")


class Strict(Counted):
    def load_own_variables(self, store):
        assert store["scale"].shape == (16,), "not as wide as it was"


@slim.graph.register_rule(Counted, Strict)
def scale_by_unit(call):
    units = call.inputs[0].along(-1)
    call.weight(call.layer.scale, follows={0: units})
    return call.unchanged()


def between(layer):
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(2)(layer(layers.Dense(16)(inputs))))


def test_what_is_a_weight_is_cut_and_the_rest_goes_along():
    layer = Counted()
    layer.table = np.array([2.5], "float32")
    model = between(layer)
    layer.scale.assign(np.arange(16) + 1.0)
    plan = slim.plan_pruning(model, 0.5, criterion="l2")
    small = slim.shrink(model, plan)
    assert small.layers[2].scale.shape[0] == 8
    assert small.layers[2].table.tolist() == [2.5]
    np.testing.assert_allclose(small(reals), slim.mask(model, plan)(reals), rtol=1e-5, atol=1e-5)


def test_hooks_that_do_not_take_a_cut_are_refused_by_name():
    model = between(Strict(name="strict"))
    with pytest.raises(UnsupportedLayerError, match="(?s)'strict' cannot be copied.*not as wide as it was"):
        slim.shrink(model, slim.plan_pruning(model, 0.5, criterion="l2"))


class Scaling(keras.Model):
    """A subclassed model, as a layer, with a state of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = np.ones(3, "float32")

    def build(self, shape):
        self.built = True

    def call(self, inputs):
        return inputs * self.table

    def get_config(self):
        return {"name": self.name}

    def save_own_variables(self, store):
        store["table"] = self.table

    def load_own_variables(self, store):
        self.table = np.array(store["table"])


class Step(layers.Layer):
    """What its constructor is given, its hooks keep too, and its config does not."""

    def __init__(self, step=0, **kwargs):
        super().__init__(**kwargs)
        self.step = step

    def call(self, inputs):
        return inputs * self.step

    def get_config(self):
        return super().get_config()

    def save_own_variables(self, store):
        store["step"] = self.step

    def load_own_variables(self, store):
        self.step = int(store["step"])


def scaling():
    layer = Scaling()
    layer.table = np.array([1, 2, 3], "float32")
    return layer


@pytest.mark.parametrize(("make", "name"), [(scaling, "table"), (lambda: Step(7), "step")])
@pytest.mark.parametrize("verb", ["rebuilt", "fold", "fresh"])
def test_models_and_arguments_keep_their_state(make, name, verb):
    model = head(inputs := keras.Input((3,)), make()(inputs))
    old, new = (getattr(each.layers[1], name) for each in (model, VERBS[verb](model)))
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    "make", [layers.StringLookup, lambda: layers.TextVectorization(standardize=None, split="character")]
)
def test_words_may_have_line_breaks(make):
    layer = adapted(make(), np.array(["a\rb", "c\nd", "a\rb", "e\u2028"]))
    copy = made_from(config_of(layer), layer)
    carry_state(layer, copy)
    assert copy.get_vocabulary() == layer.get_vocabulary()


def test_weights_of_words_may_be_padded():
    layer = layers.TextVectorization(output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True)
    adapted(layer, words)
    copy = made_from(config_of(layer), layer)
    carry_state(layer, copy)
    np.testing.assert_array_equal(copy(words), layer(words))


@pytest.mark.parametrize(
    "make",
    [layers.StringLookup, layers.TextVectorization, lambda: layers.TextVectorization(output_mode="tf_idf")],
)
def test_layers_that_have_not_been_adapted(make):
    layer = make()
    copy = made_from(config_of(layer), layer)
    carry_state(layer, copy)
    assert copy.get_vocabulary() == layer.get_vocabulary()


class Two(layers.Layer):
    """Reaches one layer by two attributes, of which a copy has two."""

    def __init__(self, first=None, second=None, **kwargs):
        super().__init__(**kwargs)
        self.first = first or layers.StringLookup()
        self.second = second or self.first

    def call(self, inputs):
        return self.first(inputs) + self.second(inputs)

    def get_config(self):
        both = {key: keras.saving.serialize_keras_object(getattr(self, key)) for key in ("first", "second")}
        return {**super().get_config(), **both}

    @classmethod
    def from_config(cls, config):
        both = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("first", "second")}
        return cls(**{**config, **both})


def test_each_copy_of_a_layer_in_two_places_gets_its_state():
    layer = Two()
    layer.first.adapt(words)
    copy = made_from(config_of(layer), layer)
    carry_state(layer, copy)
    assert copy.first.get_vocabulary() == copy.second.get_vocabulary() == layer.first.get_vocabulary()


def test_a_state_that_happens_to_have_the_value_of_a_weight_is_no_weight():
    layer = Table()
    model = on_reals(lambda: layer)()[0]
    layer.scale.assign(np.zeros(3))
    copy = fresh_clone(model).layers[1]
    assert copy.scale.numpy().tolist() == [1, 1, 1]
    assert copy.table.tolist() == [0, 0, 0]


def test_many_arrays_are_told_apart_without_reading_each_for_each(monkeypatch):
    class Many(layers.Layer):
        def build(self, shape):
            self.tables = [self.add_weight(shape=(5,)) for _ in range(40)]

        def call(self, inputs):
            return inputs

        def save_own_variables(self, store):
            store.update({str(index): each.numpy() for index, each in enumerate(self.tables)})

        def load_own_variables(self, store):
            for index, each in enumerate(self.tables):
                each.assign(store[str(index)])

    layer, copy = Many(), Many()
    layer.build((None, 2))
    copy.build((None, 2))
    before, reads = [each.numpy() for each in copy.tables], []
    read = ops.convert_to_numpy
    monkeypatch.setattr(keras.ops, "convert_to_numpy", lambda value: reads.append(1) or read(value))
    carry_state(layer, copy)
    assert len(reads) <= 80
    np.testing.assert_array_equal(before, [each.numpy() for each in copy.tables])


@pytest.mark.parametrize(
    "layer", [layers.Dense(2), layers.Conv2D(2, 3), layers.EinsumDense("ab,bc->ac", 2), layers.Embedding(2, 2)]
)
def test_layers_that_save_their_variables_alone_are_not_asked_for_more(layer, monkeypatch):
    assert not has_own_state(layer)
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3), layers.Dense(2)])
    for each in model.layers:
        monkeypatch.setattr(each, "save_own_variables", None)
    copy = slim.fold_batch_normalization(model)
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])


def test_a_kernel_with_lora_goes_along():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    for each in (model.layers[0], model.layers[2]):
        each.enable_lora(1)
        each.lora_kernel_b.assign(np.ones(each.lora_kernel_b.shape))
    copy, x = slim.fold_batch_normalization(model), np.ones((1, 4, 4, 3))
    np.testing.assert_array_equal(copy(x), model(x))
