"""Subclassed models, models with blocks, and parts of models are cut in the middle of their own `fit`."""

import weakref

import keras
import numpy as np
import pytest
from batching import batches
from keras import layers
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.errors import SlimWarning, UnsupportedLayerError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = (X @ RNG.normal(size=(4, 3))).astype("float32")
DATA = batches(X, Y, 16)
EPOCHS = 2
RANKED = "taylor" if keras.backend.backend() == "tensorflow" else "mean_activation"  # by gradients where they are
TICKET = {"criterion": "l2", "guards": slim.pruning.Guards(align=1), "verbose": 0}
PRUNE = {"ratio": 0.5, "rounds": 1, "window": (0.5, 0.5), **TICKET}  # when the second of two epochs begins
TWICE = {**PRUNE, "rounds": 2, "window": (0.25, 0.75)}


class Block(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = [layers.Dense(units, "relu", name="in"), layers.Dense(units, name="out")]

    def build(self, shape):
        for layer in self.inner:
            layer.build((*shape[:-1], self.units))
        self.scale = self.add_weight(shape=(self.units,), initializer="uniform", name="scale")

    def call(self, x):
        return x + self.inner[1](self.inner[0](x)) * self.scale


class Own(keras.Model):
    """Of layers, blocks and a model, with a training step that counts."""

    def __init__(self):
        super().__init__(name="own")
        self.stem = layers.Dense(16, "relu", name="stem")
        self.blocks = [Block(16, name="one"), Block(16, name="two")]
        self.head = keras.Sequential([layers.Dense(8, "relu", name="hidden"), layers.Dense(3, name="out")], name="head")
        self.steps = 0

    def call(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def train_step(self, *args):
        self.steps += 1
        return super().train_step(*args)


def with_blocks():
    inputs = keras.Input((4,))
    x = layers.Dense(16, "relu", name="stem")(inputs)
    for name in ("one", "two"):
        x = Block(16, name=name)(x)
    return keras.Model(inputs, layers.Dense(3, name="out")(layers.Dense(8, "relu", name="hidden")(x)), name="blocks")


pytestmark = pytest.mark.filterwarnings("ignore:A file of model")  # which has a test of its own

MODELS = {"subclassed": Own, "with blocks": with_blocks}
SUBCLASSED, WITH_BLOCKS = (pytest.param(make, id=name) for name, make in MODELS.items())
# What is done with both once they are read: one of them is enough where time is short, in turns.
SLOWLY_SUBCLASSED, SLOWLY_WITH_BLOCKS = (
    pytest.param(make, id=name, marks=pytest.mark.slow) for name, make in MODELS.items()
)


def compiled(make, optimizer="sgd"):
    keras.utils.set_random_seed(1)
    model = make()
    model(X[:1])
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
    return model


def fit(model, *callbacks, epochs=EPOCHS, **options):
    return model.fit(DATA, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)


def numbers(model):
    return keras.ops.convert_to_numpy(model(X))


def units(model):
    return slim.plan_pruning(model, 0).before.units


@pytest.mark.parametrize(
    ("make", "data"),
    [
        pytest.param(Own, (X, Y), id="subclassed, with data"),
        pytest.param(with_blocks, None, id="with blocks, weights alone"),
        pytest.param(Own, None, id="subclassed, weights alone", marks=pytest.mark.slow),
        pytest.param(with_blocks, (X, Y), id="with blocks, with data", marks=pytest.mark.slow),
    ],
)
def test_units_go_in_its_own_fit(make, data):
    model = compiled(make)
    pruning = slim.callbacks.ProgressiveGlobalPruning(**TWICE, data=data)
    history = fit(model, pruning, epochs=4)
    total = pruning.rounds_done[0]["plan"].before.units
    assert units(model) == pruning.rounds_done[-1]["units"] == total // 2
    assert history.history["units"][-1] == total // 2
    assert history.history["loss"][-1] < history.history["loss"][0]
    if make is Own:
        assert model.steps == 4 * 2
        assert isinstance(model.blocks[0], Block)
        assert model.blocks[0].inner[0].units < 16


def test_the_gradients_of_the_loss_rank_the_units_of_a_subclassed_model():
    model = compiled(Own)
    fit(model, slim.callbacks.ProgressiveGlobalPruning(**{**PRUNE, "criterion": RANKED}, data=(X, Y)))
    assert model.stem.units < 16


@pytest.mark.filterwarnings("ignore:.*which is not a metric of validation")
@pytest.mark.parametrize("make", [SUBCLASSED, SLOWLY_WITH_BLOCKS])
def test_a_search_goes_back(make):
    model = compiled(make)
    search = slim.callbacks.ProgressiveGlobalPruning(
        **TICKET, max_drop=0.0, monitor="units", mode="max", patience=1, ratio_per_round=(0.5,), window=(0, 0.9)
    )
    fit(model, search, epochs=4)
    first, second = search.trajectory.points
    assert (first.held, second.held) == (True, False)
    assert units(model) == first.cost.units > second.cost.units
    fit(model, epochs=1)


@pytest.mark.parametrize("make", [SUBCLASSED, SLOWLY_WITH_BLOCKS])
def test_it_learns_from_the_dense_network(make):
    model = compiled(make)
    distillation = slim.distillation.Distillation(keras.distillation.LogitsDistillation(loss="mse"))
    fit(model, slim.callbacks.ProgressiveGlobalPruning(**PRUNE, distillation=distillation))
    assert "compute_loss" not in vars(model)


@pytest.mark.parametrize("make", [WITH_BLOCKS, SLOWLY_SUBCLASSED])
def test_tickets_are_found(make):
    model = compiled(make)
    lottery = slim.callbacks.StructuredLotteryTicket(1, 0.5, **TICKET)
    fit(model, lottery)
    total = lottery.rounds_done[0]["units"]
    assert units(model) == units(lottery.ticket) == total // 2


@pytest.mark.parametrize(("make", "first"), [(Own, True), (with_blocks, False)])
def test_killed_it_goes_on(make, first, tmp_path):
    def run(*others, saved=True):
        model = compiled(make, keras.optimizers.SGD(0.01, momentum=0.9))
        pruning = slim.callbacks.ProgressiveGlobalPruning(**{**TWICE, "window": (0, 0.67)})
        backup = [keras.callbacks.BackupAndRestore(tmp_path / "backup")] if saved else []
        fit(model, *([*backup, pruning] if first else [pruning, *backup]), *others, epochs=3)
        assert len(pruning.rounds_done) == 2
        return model

    undisturbed = run(saved=False)
    with pytest.raises(KilledError):
        run(Killer(2))
    np.testing.assert_array_equal(numbers(run()), numbers(undisturbed))


def test_a_model_with_blocks_says_that_it_becomes_a_plain_one(capsys, tmp_path):
    model = compiled(with_blocks)
    fit(model, slim.callbacks.ProgressiveGlobalPruning(**{**PRUNE, "verbose": 1}))
    assert "Model 'blocks' is a plain functional model from now on" in capsys.readouterr().out
    model.save(tmp_path / "plain.keras")
    np.testing.assert_array_equal(numbers(keras.saving.load_model(tmp_path / "plain.keras")), numbers(model))


def test_a_model_that_was_never_called_is_built_on_the_data_or_refused():
    model = Own()
    model.compile("sgd", "mse", run_eagerly=True)
    if keras.backend.backend() != "torch":  # where Keras builds it before training
        with pytest.raises(UnsupportedLayerError, match="Model 'own'.*is not built.*Call it on one"):
            fit(model, slim.callbacks.ProgressiveGlobalPruning(**PRUNE))
        assert model.steps == 0
    fit(model, slim.callbacks.ProgressiveGlobalPruning(**PRUNE, data=(X, Y)))
    assert model.stem.units < 16


def test_files_of_a_subclassed_model_are_told():
    with pytest.warns(SlimWarning, match=r"A file of model 'own'.*slim\.functional\(model\)"):
        fit(compiled(Own), slim.callbacks.ProgressiveGlobalPruning(**PRUNE))


class Attention(keras.Model):
    """Has a width written into its code, which every head shares, and reaches a layer by a function."""

    def __init__(self, clings=False):
        super().__init__(name="attention")
        self.query, self.key = layers.Dense(8, name="query"), layers.Dense(8, name="key")
        self.hidden, self.out = layers.Dense(16, "relu", name="hidden"), layers.Dense(3, name="out")
        self.enter = lambda x, hidden=self.hidden: hidden(x)
        self.clings = clings

    def call(self, x):
        heads = [keras.ops.reshape(layer(x), (-1, 2, 4)) for layer in (self.query, self.key)]
        x = keras.ops.concatenate([x, keras.ops.sum(heads[0] * heads[1], axis=-1)], axis=-1)
        return self.out((self.enter if self.clings else self.hidden)(x))


CUTS = {
    "pruning": lambda: slim.callbacks.ProgressiveGlobalPruning(**{**PRUNE, "ratio": 0.25}),
    "lottery": lambda: slim.callbacks.StructuredLotteryTicket(1, 0.25, **TICKET),
}


@pytest.mark.parametrize("make", CUTS.values(), ids=CUTS)
def test_layers_whose_width_is_written_into_the_code_stay_whole_and_are_named(make):
    model = compiled(Attention)
    with pytest.warns(
        SlimWarning, match=r"leaves layers of model 'attention' whole: 'query', 'key'.*test_any_model.py"
    ):
        fit(model, make())
    assert (model.query.units, model.key.units) == (8, 8)
    assert model.hidden.units < 16


@pytest.mark.parametrize("make", CUTS.values(), ids=CUTS)
def test_what_would_not_last_is_refused_before_training(make):
    model = compiled(lambda: Attention(clings=True))
    before, layers_before = model.get_weights(), list(model.layers)
    with pytest.raises(UnsupportedLayerError, match=r"Model 'attention' of class `Attention`.*functional\(model\)"):
        fit(model, make())
    assert model.optimizer.iterations == 0
    assert all(one is two for one, two in zip(model.layers, layers_before, strict=True))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    fit(model)


def test_other_models_on_a_block_that_is_cut_are_named():
    block = Block(16, name="one")

    class Around(keras.Model):
        def __init__(self, name):
            super().__init__(name=name)
            self.stem, self.block, self.head = layers.Dense(16), block, layers.Dense(3)

        def call(self, x):
            return self.head(self.block(self.stem(x)))

    model, other = compiled(lambda: Around("mine")), compiled(lambda: Around("other"))
    with pytest.warns(SlimWarning, match=r"Other models hold layers of model 'mine'.*'other'"):
        fit(model, slim.callbacks.ProgressiveGlobalPruning(**PRUNE))
    assert block.inner[0].units < 16
    del other


class Autoencoder(keras.Model):
    def __init__(self):
        super().__init__(name="autoencoder")
        self.encoder = keras.Sequential([layers.Dense(16, "relu", name="a"), layers.Dense(4, name="b")], name="encoder")
        self.decoder = keras.Sequential([layers.Dense(16, "relu", name="c"), layers.Dense(3, name="d")], name="decoder")

    def call(self, x):
        return self.decoder(self.encoder(x))


class Student(keras.Model):
    """Teaches one of its parts by the other, in a step of its own."""

    def __init__(self):
        super().__init__(name="wrapper")
        self.teacher = keras.Sequential([keras.Input((4,)), layers.Dense(16, "relu"), layers.Dense(3)])
        self.student = keras.Sequential([keras.Input((4,)), layers.Dense(16, "relu"), layers.Dense(3)], name="student")
        self.teacher.trainable = False

    def call(self, x):
        return self.student(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean((self.teacher(x) - y_pred) ** 2)


@pytest.mark.parametrize(
    ("make", "part", "left"), [(Autoencoder, "decoder", "encoder"), (Student, "student", "teacher")]
)
def test_a_part_alone_is_cut(make, part, left):
    model = compiled(make)
    pruning = slim.callbacks.ProgressiveGlobalPruning(**{**PRUNE, "criterion": RANKED}, part=part, data=(X, Y))
    fit(model, pruning)
    assert getattr(model, part).layers[0].units == 8
    assert getattr(model, left).layers[0].units == 16
    assert slim.callbacks.ProgressiveGlobalPruning.from_config(pruning.get_config()).part == part


def test_a_part_that_is_not_there_is_refused_before_training():
    with pytest.raises(ValueError, match="`part`.*encoder, decoder"):
        fit(compiled(Autoencoder), slim.callbacks.ProgressiveGlobalPruning(**PRUNE, part="head"))


class Adversarial(keras.Model):
    """Without a call of its own, and with an optimizer for each part."""

    def __init__(self):
        super().__init__(name="adversarial")
        self.generator = keras.Sequential(
            [keras.Input((5,)), layers.Dense(16, "relu"), layers.Dense(4)], name="generator"
        )
        self.critic = keras.Sequential([keras.Input((4,)), layers.Dense(16, "relu"), layers.Dense(1)], name="critic")

    def compile(self):
        super().compile(run_eagerly=True)
        self.first, self.second = keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.01, momentum=0.9)

    def train_step(self, data):
        import tensorflow as tf

        noise = tf.ones((len(data[0]), 5))
        for network, optimizer, sign in ((self.critic, self.first, -1), (self.generator, self.second, 1)):
            with tf.GradientTape() as tape:
                loss = sign * tf.reduce_mean(self.critic(data[0]) - self.critic(self.generator(noise)))
            weights = network.trainable_weights
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


class ByName(Adversarial):
    """Holds its optimizers in a dictionary."""

    first, second = (property(lambda self, name=name: self.by_name[name]) for name in ("first", "second"))

    def compile(self):
        keras.Model.compile(self, run_eagerly=True)
        self.by_name = {"first": keras.optimizers.Adam(0.01), "second": keras.optimizers.SGD(0.01, momentum=0.9)}


NEEDS_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a step written in TensorFlow")


@NEEDS_TENSORFLOW
@pytest.mark.parametrize("make", [Adversarial, ByName])
def test_a_generator_is_cut_while_it_learns_against_its_critic(make):
    model = make()
    model.compile()
    noise = RNG.normal(size=(32, 5)).astype("float32")
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        **{**PRUNE, "criterion": "mean_activation"}, part="generator", data=noise
    )
    fit(model, pruning)
    assert (model.generator.layers[0].units, model.critic.layers[0].units) == (8, 16)
    assert {tuple(each.shape) for each in model.second.variables} >= {(5, 8), (8, 4)}


TICKETS = {
    "weights": lambda rewind_to: slim.callbacks.LotteryTicket(1, 0.5, rewind_to, verbose=0),
    "units": lambda rewind_to: slim.callbacks.StructuredLotteryTicket(1, 0.5, rewind_to, part="generator", **TICKET),
}


@NEEDS_TENSORFLOW
@pytest.mark.parametrize("rewind_to", [0, 1])
@pytest.mark.parametrize("find", TICKETS.values(), ids=TICKETS)
def test_tickets_begin_anew_with_the_state_of_all_optimizers(find, rewind_to):
    model = ByName()
    model.compile()
    with pytest.raises(RuntimeError, match="'adversarial' could not go back .*'adam.*', 'sgd.*'.*before `fit`"):
        fit(model, find(rewind_to))
    assert model.first.iterations == model.second.iterations == 0
    model.first.build(model.critic.trainable_weights)
    model.second.build(model.generator.trainable_weights)
    made = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: made.append((int(model.first.iterations), int(model.second.iterations)))
    )
    fit(model, find(rewind_to), note, epochs=2)
    half = len(made) // 2
    assert made == [(step, step) for step in (*range(1, half + 1), *range(rewind_to + 1, rewind_to + half + 1))]


@NEEDS_TENSORFLOW
def test_a_loss_that_a_part_alone_has_not_is_told():
    model = Adversarial()
    model.compile()
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        **{**PRUNE, "criterion": "taylor"}, part="generator", data=(np.ones((8, 5)), np.ones((8, 4)))
    )
    with pytest.raises(RuntimeError, match="'taylor' follows the loss back, and model 'generator' has none"):
        fit(model, pruning)


class Flat(Own):
    """Without a model inside."""

    def __init__(self):
        super(Own, self).__init__(name="own")
        self.stem, self.head = layers.Dense(16, "relu", name="stem"), layers.Dense(3, name="head")
        self.blocks, self.steps = [Block(16, name="one")], 0


@pytest.mark.parametrize("make", [Flat, with_blocks], ids=MODELS)
def test_the_layers_from_before_a_cut_are_given_back(make):
    model = compiled(make)
    stays = {id(each) for each in model._flatten_layers() if isinstance(each, Block | keras.Model)}
    before = [weakref.ref(each) for each in model._flatten_layers() if id(each) not in stays]
    alive = []
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: alive.append(sum(each() is not None for each in before))
    )
    fit(model, slim.callbacks.ProgressiveGlobalPruning(**PRUNE), count)
    assert alive == [len(before), 0]
