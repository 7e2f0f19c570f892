"""What every network of the papers promises: its counts, its arguments, and the laws that hold for any model."""

import inspect

import keras
import numpy as np
import pytest
from laws import check_law
from model_zoo import randomise

import keras_slim as slim
from keras_slim import models

LOOSE = slim.pruning.Guards(min_units=1, align=1)
BUILDERS = [name for name in models.__all__ if name[0].isupper()]

# Arguments, what is trained, kernels and matrices alone, moving statistics too, multiply-accumulates. They are counted
# from the papers' lists of layers, and those of papers that count otherwise follow from them.
COUNTS = {
    "LeNet300100": [({}, 266_610, 266_610, 266_200)],
    "LeNet5": [({}, 431_080, 431_080, 2_293_000)],
    "ConvTwo": [({}, 4_301_642, 4_301_642, 43_780_608)],
    "ConvFour": [({}, 2_425_930, 2_425_930, 98_306_560)],
    "ConvSix": [({}, 2_262_602, 2_262_602, 153_881_088)],
    "VGGSmall": [
        ({}, 4_656_512 + 2 * 1792 + 10, 4_656_512 + 4 * 1792 + 10, 607_600_640),
        ({"hidden": (1024, 1024)}, 14_022_016 + 2 * 3840 + 10, 14_022_016 + 4 * 3840 + 10, 616_966_144),
    ],
    "CIFARResNet": [
        ({"depth": 20}, 269_722, 269_722 + 2 * 688, 40_551_040),
        ({"depth": 20, "shortcut": "projection"}, 269_722 + 2_752, 272_474 + 2 * 784, 40_813_184),
        ({"depth": 32}, 464_154, 464_154 + 2 * 1136, 68_862_592),
        ({"depth": 44}, 658_586, 658_586 + 2 * 1584, 97_174_144),
        ({"depth": 56}, 853_018, 853_018 + 2 * 2032, 125_485_696),
        ({"depth": 110}, 1_727_962, 1_727_962 + 2 * 4048, 252_887_680),
    ],
    "SqueezeNet": [
        ({"version": "1.1"}, 1_235_496, 1_235_496, 349_151_936),
        ({"version": "1.0"}, 1_248_424, 1_248_424, 818_924_576),
    ],
    "ShuffleNet": [
        ({"groups": 3}, 1_865_728, 1_890_208, 137_460_672),
        ({"groups": 1}, 1_531_936, 1_546_624, 143_078_976),
        ({"groups": 2}, 1_733_848, 1_754_248, 140_836_512),
        ({"groups": 4}, 1_968_344, 1_996_088, 134_339_776),
        ({"groups": 8}, 2_434_768, 2_473_936, 138_365_952),
    ],
    "ShuffleNetV2": [
        ({"scale": 0.5}, 1_366_792, 1_374_744, 40_476_448),
        ({"scale": 1}, 2_278_604, 2_294_784, 144_907_992),
        ({"scale": 1.5}, 3_503_624, 3_527_064, 295_759_392),
        ({"scale": 2.0}, 7_393_996, 7_427_712, 583_253_464),
    ],
    "EfficientNetLite0": [({}, 4_652_008, 4_694_024, 385_187_552)],
    "GoogLeNet": [({}, 6_998_552, 6_998_552, 1_582_671_872)],
    "AlexNet": [({}, 60_965_224, 60_965_224, 724_406_816)],
}
# Of these, the first row is counted always; the others are slow.
QUICK = {"LeNet300100", "LeNet5", "ConvTwo", "ConvFour", "ConvSix", "VGGSmall", "CIFARResNet", "SqueezeNet"}


def of_builders(table):
    """Returns parameters `(name, ...)` of a test, the first of the small networks fast and all others slow."""
    return [
        pytest.param(name, *row, id=f"{name}-{index}", marks=[] if name in QUICK and not index else [pytest.mark.slow])
        for name in BUILDERS
        for index, row in enumerate(table[name])
    ]


def trained(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(("name", "arguments", "learned", "parameters", "macs"), of_builders(COUNTS))
def test_counts_are_those_of_the_paper_and_of_the_docstring(name, arguments, learned, parameters, macs):
    builder = getattr(models, name)
    with keras.StatelessScope():  # draws no weights
        model = builder(**arguments)
        profile = slim.profile(model)
    assert (trained(model), model.count_params(), profile.macs) == (learned, parameters, macs)
    assert not profile.unknown
    text = inspect.getdoc(builder)
    assert f"{macs:,}" in text or "projection" in arguments.values()
    assert any(f"{count:,}" in text for count in (learned, parameters, 2_752, 14_022_016))


# Small enough to be cut, rounded and exported in a second; the largest are slow.
TINY = {
    "LeNet300100": {"input_shape": (6, 6, 1)},
    "LeNet5": {"input_shape": (16, 16, 1)},
    "ConvTwo": {"input_shape": (4, 4, 3)},
    "ConvFour": {"input_shape": (4, 4, 3)},
    "ConvSix": {"input_shape": (8, 8, 3)},
    "VGGSmall": {"input_shape": (8, 8, 3), "hidden": (24,)},
    "CIFARResNet": {"depth": 8, "width": 8, "input_shape": (8, 8, 3)},
    "SqueezeNet": {"version": "1.1", "input_shape": (32, 32, 3)},
    "ShuffleNet": {"groups": 2, "scale": 0.25, "input_shape": (32, 32, 3)},
    "ShuffleNetV2": {"scale": 0.5, "input_shape": (32, 32, 3)},
    "EfficientNetLite0": {"input_shape": (32, 32, 3)},
    "GoogLeNet": {"input_shape": (32, 32, 3)},
    "AlexNet": {"input_shape": (67, 67, 3)},
}
LIGHT = {"LeNet300100", "LeNet5", "ConvTwo", "CIFARResNet"}
LARGE = {"AlexNet", "GoogLeNet", "ShuffleNet", "ShuffleNetV2", "EfficientNetLite0"}


def built(builder, /, **arguments):
    """Returns a network for small images."""
    options = {"classes": 5, "classifier_activation": None, **TINY[builder], **arguments}
    return getattr(models, builder)(**options)


def tiny(builder, /, **arguments):
    """Returns a network for small images, with weights that hide nothing."""
    return randomise(built(builder, **arguments))


def images(model, samples=3):
    return np.random.default_rng(0).normal(size=(samples, *model.input_shape[1:])).astype("float32")


def test_every_builder_is_in_the_contract():
    assert set(BUILDERS) == set(COUNTS) == set(TINY)


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_are_alike(name):
    signature = inspect.signature(getattr(models, name)).parameters
    shared = ["include_top", "weights", "input_shape", "pooling", "classes", "classifier_activation", "name"]
    assert [each for each in signature if signature[each].kind == inspect.Parameter.KEYWORD_ONLY] == shared
    assert list(signature)[-7:] == shared
    assert signature["include_top"].default is True
    assert signature["weights"].default is None
    assert signature["classifier_activation"].default == "softmax"


def close(answers, expected):
    expected = keras.ops.convert_to_numpy(expected)
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def train_and_reload(model, path):
    """Trains a model for a step, saves it and checks what is loaded; returns images and its answers to them."""
    x = images(model)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    assert np.isfinite(model.train_on_batch(x, np.arange(3)))
    model.save(path)
    expected = model(x)
    close(keras.saving.load_model(path, compile=False)(x), expected)
    return x, expected


# The others are of layers that these have too, and of blocks that are trained and saved below.
@pytest.mark.parametrize(
    "name",
    [*sorted(LIGHT), *(pytest.param(n, marks=pytest.mark.slow) for n in ("VGGSmall", "SqueezeNet"))],
)
def test_it_trains_saves_and_loads_and_its_weights_load_by_path(name, tmp_path):
    model = tiny(name, name="own")
    assert (model.name, model.output_shape) == ("own", (None, 5))
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    x, expected = train_and_reload(model, tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    arrays = {f"{layer.name}/{each.name}": np.asarray(each) for layer in model.layers for each in layer.weights}
    np.savez(tmp_path / "model.npz", **arrays)
    for ending in ("keras", "weights.h5", "npz"):
        close(built(name, weights=tmp_path / f"model.{ending}")(x), expected)


@pytest.mark.parametrize("name", sorted(LIGHT | {"SqueezeNet"}))
def test_softmax_gives_shares(name):
    model = tiny(name, classifier_activation="softmax", classes=7)
    np.testing.assert_allclose(np.sum(model(images(model)), axis=1), np.ones(3), rtol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_without_its_top_it_gives_features_pooled_or_not(name):
    """Layers have the same names in each, so that weights of one serve the other."""
    with keras.StatelessScope():  # draws no weights
        whole, features = built(name), built(name, include_top=False)
        pooled = built(name, include_top=False, pooling="max")
    names = [layer.name for layer in features.layers]
    assert names == [layer.name for layer in whole.layers][: len(names)]
    assert 5 not in features.output_shape[1:]
    assert trained(whole) > trained(features)
    assert pooled.output_shape == (None, features.output_shape[-1])
    assert trained(pooled) == trained(features)


# These three are slow, and have no layer that others do not have.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in LIGHT else [pytest.mark.slow])
        for name in BUILDERS
        if name not in {"AlexNet", "GoogLeNet", "EfficientNetLite0"}
    ],
)
@pytest.mark.channels_first
def test_channels_first_it_is_the_same_network(name):
    model = tiny(name)
    config = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        rows, columns, channels = TINY[name]["input_shape"]
        turned = tiny(name, input_shape=(channels, rows, columns))
    finally:
        keras.config.set_image_data_format(config)
    assert [each.shape for each in turned.weights] == [each.shape for each in model.weights]
    x = images(model)
    close(turned(x.transpose(0, 3, 1, 2)), model(x))


# Each block, and what it is called on: between two convolutions, in one small network.
BLOCKS = {
    "fire": lambda x: models.fire(models.fire(x, 8, 12), 6, 10),
    "inception": lambda x: models.inception(x, 8, 6, 10, 4, 8, 6),
    "inverted_residual": lambda x: models.inverted_residual(models.inverted_residual(x, 12), 16, 4, 5, 2),
    "residual": lambda x: models.residual(models.residual(x, 12), 18, 2),
    "residual, projected": lambda x: models.residual(x, 18, 2, "projection"),
    "shuffle_channels": lambda x: models.shuffle_channels(x, 3),
    "shuffle_unit": lambda x: models.shuffle_unit(models.shuffle_unit(x, 36, 2, 3), 36, 1, 3),
    "shuffle_unit, one group": lambda x: models.shuffle_unit(x, 12, 1, 1),
    "shuffle_unit, ungrouped first": lambda x: models.shuffle_unit(x, 24, 2, 2, first_groups=1),
    "shuffle_unit_v2": lambda x: models.shuffle_unit_v2(models.shuffle_unit_v2(x, 24, 2), 24),
}


def around(block):
    inputs = keras.Input((8, 8, 3))
    x = BLOCKS[block](keras.layers.Conv2D(12, 3, padding="same", activation="relu", name="before")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return randomise(keras.Model(inputs, keras.layers.Dense(4, name="after")(x), name="around"))


def test_every_block_is_in_the_contract():
    assert {name.partition(",")[0] for name in BLOCKS} == {name for name in models.__all__ if name[0].islower()}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_has_names_if_it_is_given_one(block):
    inputs = keras.Input((8, 8, 12))
    name, *_ = block.split(",")
    arguments = {"fire": (4, 6), "inception": (8, 6, 10, 4, 8, 6), "shuffle_channels": (3,)}.get(name, (12,))
    model = keras.Model(inputs, getattr(models, name)(inputs, *arguments, name="mine"))
    named = [layer for layer in model.layers[1:] if layer.weights or name == "shuffle_channels"]
    assert named
    assert all(layer.name.startswith("mine_") for layer in named)


@pytest.mark.parametrize(
    "block", [pytest.param(name, marks=[] if name == "shuffle_unit" else [pytest.mark.slow]) for name in BLOCKS]
)
def test_a_block_trains_and_is_loaded_as_it_was_saved(block, tmp_path):
    train_and_reload(around(block), tmp_path / "model.keras")


def every(*fast, without=()):
    """Returns the blocks and networks as parameters of a test, all slow but those of some names.

    Those of `without` are left out: they are slow, and their blocks are there.
    """
    makers = {name: lambda name=name: around(name) for name in BLOCKS}
    makers |= {name: lambda name=name: tiny(name) for name in BUILDERS}
    return pytest.mark.parametrize(
        "make",
        [
            pytest.param(make, id=name, marks=[] if name in fast else [pytest.mark.slow])
            for name, make in makers.items()
            if name not in without
        ],
    )


@every(*BLOCKS, "LeNet5", "CIFARResNet", without=("GoogLeNet",))
def test_pruned_it_answers_as_its_masked_twin_and_costs_what_was_planned(make):
    model = make()
    size = float(np.abs(model(images(model))).max())
    small, _ = check_law(model, atol=max(1e-5, 1e-4 * size))
    assert small.count_params() < model.count_params()
    plan = slim.plan_pruning(model, 0.2, guards=LOOSE)
    assert plan.after.params == slim.shrink(model, plan).count_params() < model.count_params()


@every("fire", "residual", "shuffle_unit", "shuffle_unit_v2", without=LARGE)
def test_rounded_and_made_plain_again_it_answers_as_with_few_bits(make):
    model = make()
    twin = slim.quantize(model, slim.quantizers.Int(4), skip=())
    close(slim.dequantize(twin)(images(model)), twin(images(model)))


@every("fire", "residual", "shuffle_unit", "shuffle_unit_v2", without=LARGE | {"VGGSmall", "ConvSix"})
def test_factorized_it_costs_what_was_planned(make):
    model = make()
    plan = slim.plan_factorization(model, ratio=0.01, of="params")  # kernels of groups stay whole: most of a ShuffleNet
    small = slim.factorize(model, plan, verbose=0)
    assert small.count_params() == slim.profile(small).parameters < model.count_params()
    assert np.isfinite(small(images(model))).all()


# On phones, XNNPACK pads no channels, and convolves no groups of integers: the file says so.
exported = pytest.mark.filterwarnings("ignore:XNNPACK runs")


def check_file(model, path, quantize, least_db):
    data = images(model, 16)
    for layer in model.layers:  # random statistics leave answers of deep networks that hardly differ
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(data, training=True)
    report = slim.export_tflite(model, path, quantize, data, verbose=0)
    assert report.agreement.sqnr_db > least_db
    assert not {"SHAPE", "PACK", "STRIDED_SLICE"} & set(report.agreement.operations)


@every("residual", "shuffle_unit", "shuffle_unit_v2", without=LARGE)
@exported
def test_a_file_answers_as_it_does_and_has_no_arithmetic_with_shapes(make, tmp_path):
    check_file(make(), tmp_path / "model.tflite", None, 80)


@pytest.mark.slow
@exported
@pytest.mark.parametrize("name", [*BLOCKS, *sorted(LIGHT)])
def test_a_file_with_integers_answers_nearly_so_and_has_no_arithmetic_with_shapes(name, tmp_path):
    """Of blocks and small networks: without training, fifty layers make noise of any rounding."""
    check_file(around(name) if name in BLOCKS else tiny(name), tmp_path / "model.tflite", "int8", 15)
