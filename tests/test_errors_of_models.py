"""What a user really meets: each bad model, batch or rule gets one clear error of ours that names the place."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError, first_sentence, in_short
from keras_slim.graph.registry import _RULES
from keras_slim.pruning import prune_layer_by_layer
from keras_slim.scoring import rank_correlation

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")


def dense(middle=None, loss="mse"):
    stack = [layers.Dense(8, "relu", name="hidden"), *filter(None, [middle]), layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((4,), name="input"), *stack], name="net")
    model.compile("sgd", loss)
    return model


def line_of(error):
    """The line that a message names in this very file."""
    (rest,) = str(error).split(f"({__file__}, line ")[1:]
    with open(__file__, encoding="utf-8") as file:
        return file.readlines()[int(rest.partition(")")[0]) - 1]


class Own(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(2, name="dense")

    def call(self, x):
        return self.dense(x["a"])


class Odd(layers.Layer):
    """Works while a model is made of it, and no more when the model is used."""

    is_odd = False

    def call(self, x):
        if self.is_odd:
            raise ZeroDivisionError("odd")
        return x


def odd():
    model = dense(Odd(name="odd"))
    model.layers[1].is_odd = True
    return model


# What `functional` is given.


def a_subclassed_model():
    model = Own()
    model({"a": X})
    return model


@pytest.mark.parametrize(
    "inputs",
    ["text", ["a"], 3, None, object(), X.tolist(), (None, 4)],
    ids=["text", "texts", "3", "None", "object", "lists", "shape"],
)
@pytest.mark.parametrize("make", [dense, a_subclassed_model])
def test_inputs_that_are_no_arrays_are_refused(make, inputs):
    if inputs is None:
        inputs = [None]
    with pytest.raises(TypeError, match="`inputs` of `functional`. Expected dense arrays.*Received"):
        slim.functional(make(), inputs=inputs)


@pytest.mark.parametrize("inputs", [X[0], [X, X], {"a": X, "b": X}], ids=["sample", "two", "named"])
def test_inputs_of_another_rank_or_number_are_refused(inputs):
    with pytest.raises(ValueError, match=r"`inputs` of `functional`. Expected arrays of shape \[\(None, 4\)\]"):
        slim.functional(dense(), inputs=inputs)


def test_a_key_that_is_missing_is_told_with_the_line_that_wants_it():
    with pytest.raises(UnsupportedLayerError, match="cannot be read: KeyError: a ") as error:
        slim.functional(a_subclassed_model(), inputs={"b": X})
    assert 'x["a"]' in line_of(error.value)


def test_inputs_on_which_the_model_does_not_run_are_told():
    with pytest.raises(UnsupportedLayerError, match="'own' does not run on its `inputs`"):
        slim.functional(a_subclassed_model(), inputs={"a": np.array([["text"] * 4] * 3)})


def test_inputs_may_have_open_sizes():
    model = Own()
    model({"a": np.ones((2, 3, 4), "float32")})
    twin = slim.functional(model, inputs={"a": keras.Input((None, 4))})
    np.testing.assert_allclose(twin({"a": X[None]}), model({"a": X[None]}), rtol=1e-5)


def test_a_model_that_was_never_really_called_is_not_built():
    class Empty(keras.Model):
        """Has no `call`."""

    model = Empty()
    with pytest.raises(NotImplementedError):
        model(X)
    with pytest.raises(UnsupportedLayerError, match=r"is not built.*functional\(model, inputs=batch\)"):
        slim.plan_pruning(model, 0.5)


def test_what_answers_otherwise_at_each_call_is_said_to():
    class Counting(layers.Layer):
        count = 0

        def call(self, x):
            self.count += 1
            return x * self.count

    with pytest.raises(UnsupportedLayerError, match="each time it is called.*'counting' cannot be opened: .*`count`"):
        slim.functional(dense(Counting(name="counting")))


# What a layer of the user's own raises.


@pytest.mark.parametrize(
    "use",
    [
        lambda model: slim.prune(model, 0.5, data=X),
        lambda model: slim.plan_pruning(model, 0.5, criterion="taylor", data=(X, Y)),
        lambda model: slim.plan_pruning(model, 0.5, criterion="apoz", data=X),
        lambda model: rank_correlation(model, (X, Y), "l2"),
        lambda model: slim.export_tflite(model, "unused.tflite", verbose=0),
    ],
    ids=["prune", "taylor", "apoz", "rank_correlation", "export_tflite"],
)
def test_a_layer_that_fails_is_told_with_its_line(use, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(_RULES, Odd, slim.graph.elementwise)
    with pytest.raises((UnsupportedLayerError, slim.errors.ExportError), match="odd") as error:
        use(odd())
    assert "ZeroDivisionError" in line_of(error.value)


def test_a_layer_that_fails_while_it_is_read_is_told_with_its_line():
    with pytest.raises(UnsupportedLayerError, match="Model 'net' .* cannot be read: .*'odd'") as error:
        slim.functional(odd())
    assert "ZeroDivisionError" in line_of(error.value)


def test_an_op_that_fails_when_it_runs_is_told_of_the_model(backend_is_tensorflow, monkeypatch):
    class Checked(layers.Layer):
        def call(self, x):
            import tensorflow as tf

            with tf.control_dependencies([tf.debugging.assert_less(x, -1.0)]):
                return tf.identity(x)

    monkeypatch.setitem(_RULES, Checked, slim.graph.elementwise)
    model = dense(Checked(name="checked"))
    with pytest.raises(UnsupportedLayerError, match="'net' fails on this data.*Correct the layer, or the data"):
        slim.plan_pruning(model, 0.5, criterion="taylor", data=(X, Y))


@pytest.mark.parametrize("criterion", ["taylor", "apoz", "oracle"])
def test_a_vocabulary_that_is_missing_is_asked_for(criterion, backend_is_tensorflow):
    texts = keras.Input((), dtype="string")
    hidden = layers.TextVectorization(output_sequence_length=2, name="words")(texts)
    hidden = layers.Dense(8, name="hidden")(ops.cast(hidden, "float32"))
    model = keras.Model(texts, layers.Dense(2)(hidden), name="net")
    model.compile("sgd", "mse")
    with pytest.raises(UnsupportedLayerError, match=r"('words'|'net').*Table not initialized.*`layer\.adapt"):
        slim.plan_pruning(model, 0.5, criterion=criterion, data=(np.array(["a b"] * 8), Y))


@pytest.fixture
def backend_is_tensorflow():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's own failures")


# Data and losses.

BAD_DATA = {
    "text": ("hello", TypeError, "Expected arrays.*Received: data='hello'"),
    "lists": (X.tolist(), TypeError, "make one array of numbers"),
    "four": ((X, Y, Y, Y), ValueError, r"Expected inputs, `\(x, y\)`.*a tuple of 4"),
    "texts": (np.array([["a"] * 4] * 3), ValueError, "values of float32 for input 'input'.*values of <U1"),
    "objects": (np.array([[None] * 4] * 3), ValueError, "values of float32 for input 'input'.*values of object"),
}


@pytest.mark.parametrize("name", BAD_DATA)
@pytest.mark.parametrize(
    "use",
    [
        lambda data: slim.plan_pruning(dense(), 0.5, criterion="apoz", data=data),
        lambda data: slim.prune(dense(), 0.5, data=data),
    ],
    ids=["plan_pruning", "prune"],
)
def test_data_that_are_none_are_refused_by_name(name, use):
    data, kind, message = BAD_DATA[name]
    with pytest.raises(kind, match=message):
        use(data)


def test_numbers_for_an_input_of_texts_are_refused():
    texts = keras.Input((1,), dtype="string", name="texts")
    hidden = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(texts)
    model = keras.Model(texts, layers.Dense(2)(layers.Dense(8)(hidden)))
    with pytest.raises(ValueError, match="Expected values of string for input 'texts'.*values of float32"):
        slim.prune(model, 0.5, data=X[:, :1])


def test_batches_may_be_sparse(backend_is_tensorflow):
    import tensorflow as tf

    inputs = keras.Input((4,), sparse=True)
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(16, "relu")(inputs)))
    model.compile("sgd", "mse")
    sparse = tf.data.Dataset.from_tensors((tf.sparse.from_dense(X), Y))
    plan = slim.plan_pruning(model, 0.5, criterion="taylor", data=sparse)
    small, same = (slim.shrink(model, plan, data) for data in (sparse, X))
    np.testing.assert_allclose(small(X), same(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("error", [ZeroDivisionError, AttributeError, KeyError])
def test_a_loss_of_the_users_own_that_fails_is_told_with_its_line(error):
    def loss(target, output):
        raise error("of mine")

    with pytest.raises(ValueError, match="loss of model 'net'.*of mine") as caught:
        rank_correlation(dense(loss=loss), (X, Y), "l2")
    assert "raise error" in line_of(caught.value)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        ("mse", np.ones((8, 5), "float32")),
        ("sparse_categorical_crossentropy", np.eye(2, dtype="float32")[[0] * 8]),
        ("sparse_categorical_crossentropy", np.full(8, 7)),
    ],
    ids=["width", "one-hot", "class number"],
)
def test_targets_that_the_loss_does_not_take_are_told_without_names_of_operations(loss, target):
    with pytest.raises(ValueError, match="does not take these targets") as error:
        slim.plan_pruning(dense(loss=loss), 0.5, criterion="taylor", data=(X, target))
    assert "{{" not in str(error.value)
    assert "[Op:" not in str(error.value)


def test_scores_that_are_not_finite_name_the_layer():
    model = dense(layers.Dense(8, name="second"))
    model.get_layer("second").kernel.assign(np.full((8, 8), np.nan))
    with pytest.raises(ValueError, match="not finite for second: look for NaN there"):
        slim.plan_pruning(model, 0.5, ignore=["hidden"])


def test_a_debiasing_that_returns_no_numbers_is_told():
    with pytest.raises(ValueError, match="`debias` of `plan_pruning`.*It returned 'x'"):
        slim.plan_pruning(dense(), 0.5, debias=lambda scores: "x")


# Arguments.


@pytest.mark.parametrize("plan", [None, "plan", {}, 0.5], ids=repr)
@pytest.mark.parametrize("verb", [slim.shrink, slim.mask, lambda model, plan: prune_layer_by_layer(model, plan, print)])
def test_what_is_no_plan_is_refused(verb, plan):
    with pytest.raises(TypeError, match=r"`plan` of `\w+`. Expected a `keras_slim.PruningPlan`.*plan_pruning"):
        verb(dense(), plan)


@pytest.mark.parametrize("ignore", [None, 3, "hidden"])
def test_what_is_no_list_of_names_is_refused(ignore):
    with pytest.raises(TypeError, match="`ignore` of `plan_pruning`. Expected a list of names"):
        slim.plan_pruning(dense(), 0.5, ignore=ignore)
    with pytest.raises(TypeError, match="`ignore` of `ProgressiveGlobalPruning`. Expected a list of names"):
        slim.callbacks.ProgressiveGlobalPruning(0.5, ignore=ignore)


@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="`path` of `export_tflite`. Expected a path that ends with '.tflite'"):
        slim.export_tflite(dense(), path)


# Rules of the user's own.


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda call: None, "rule of Odd does not return what layer 'odd' puts out.*: None"),
        (lambda call: "x", "does not return what layer 'odd' puts out.*Received: 'x'"),
        (
            lambda call: [call.unchanged()] * 2,
            r"does not return.*Expected `Channels` for outputs of shape \[\(None, 8\)",
        ),
    ],
    ids=["nothing", "text", "too many"],
)
def test_a_rule_that_returns_something_else_is_told(rule, message, monkeypatch):
    monkeypatch.setitem(_RULES, Odd, rule)
    with pytest.raises(TypeError, match=message):
        slim.plan_pruning(dense(Odd(name="odd")), 0.5)


def test_a_rule_that_fails_says_for_which_layer(monkeypatch):
    monkeypatch.setitem(_RULES, Odd, lambda call: 1 // 0)
    with pytest.raises(ZeroDivisionError) as error:
        slim.plan_pruning(dense(Odd(name="odd")), 0.5)
    assert error.value.__notes__ == ["This came from the rule of Odd, asked about layer 'odd'."]


def test_a_rule_that_counts_in_an_entry_that_is_not_there_is_told(monkeypatch):
    def rule(call):
        call.resize("size", call.inputs[0].along(-1))
        return call.unchanged()

    monkeypatch.setitem(_RULES, Odd, rule)
    with pytest.raises(UnsupportedLayerError, match=r"rule of Odd counts units in the entry \('size',\).*'odd'"):
        slim.prune(dense(Odd(name="odd")), 0.5)


# How foreign messages are shortened.


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("z"), "KeyError: z"),
        (KeyError("Exception encountered when calling A.call().\n\n\x1b[1mz\x1b[0m\n\nArguments"), "KeyError: z"),
        (
            ValueError("{{function_node __wrapped__Sub_/cpu:0}} Shapes: [1] vs. [2] [Op:Sub] name: "),
            "Shapes: [1] vs. [2]",
        ),
        (ValueError(""), "ValueError"),
        (ValueError("One. " * 3 + "x" * 400), "One. One. One."),
    ],
    ids=["key", "key of Keras", "operation", "nothing", "long"],
)
def test_the_first_sentence_is_what_matters(error, sentence):
    assert first_sentence(error) == sentence


def test_what_was_traced_is_left_out_but_for_the_users_line():
    text = (
        'in user code:\n\n    File "{keras}", line 1, in error_handler  **\n        raise e\n'
        '    File "/home/me/net.py", line 7, in call  *\n        return x / 0\n\n    ZeroDivisionError: by zero\n'
    )
    assert (
        in_short(RuntimeError(text.format(keras=keras.__file__)))
        == "ZeroDivisionError: by zero (/home/me/net.py, line 7)"
    )


# Files for a phone.


@pytest.fixture
def phone(backend_is_tensorflow, tmp_path):
    """Exports a model quietly."""
    return lambda model, *args, **options: slim.export_tflite(
        model, tmp_path / "net.tflite", *args, verbose=0, **options
    )


def test_a_model_whose_inputs_keras_could_not_follow_is_told_how_to_be_read(phone):
    class ByValues(keras.Model):
        def __init__(self):
            super().__init__(name="by_values")
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x) if ops.max(x) > 0 else x

    model = ByValues()
    model(X)
    model.built = True
    with pytest.raises(ValueError, match=r"inputs of the subclassed model 'by_values'.*`keras_slim\.functional\(model"):
        phone(model)


def test_outputs_of_texts_are_not_exported(phone):
    class Named(Own):
        def call(self, x):
            return {"y": self.dense(x["a"]), "name": ops.convert_to_tensor("me")}

    model = Named()
    model({"a": X})
    with pytest.raises(slim.errors.ExportError, match="puts out texts.*Expected outputs of numbers"):
        phone(model)


def test_batches_that_differ_are_told(phone):
    batches = iter([X, X[0]])
    with pytest.raises(ValueError, match="batches in the data differ: .*Expected batches of one structure"):
        phone(dense(), "int8", data=batches)


@pytest.mark.parametrize("oracle", ["x", [[1], [2, 3]], [1.0]], ids=repr)
def test_what_is_no_oracle_is_refused(oracle):
    with pytest.raises(ValueError, match=r"`oracle` of `rank_correlation`. Expected scores of shape \(8,\)"):
        rank_correlation(dense(), (X, Y), oracle=oracle)
