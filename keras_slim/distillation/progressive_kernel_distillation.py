"""An adder network and its convolutional twin, trained side by side, the one learning from the other."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_slim.distillation.distillation import LOGITS, Distillation
from keras_slim.distillation.pairing import OWNER, convolutional_twin, pair_layers
from keras_slim.distillation.teaching import as_logits, check_teachable, end_in_softmax
from keras_slim.errors import invalid_argument
from keras_slim.graph.endpoints import endpoints
from keras_slim.graph.nodes import check_graph
from keras_slim.graph.running import observed_run
from keras_slim.validation import check_number, check_positive

LARGEST = 20.0
"""Exponents above this count as this: `exp` and the variance of what it returns stay finite."""


@keras.saving.register_keras_serializable("keras_slim")
class ProgressiveKernelDistillation(keras.Model):
    """Trains an adder network together with a convolutional one that teaches it.

    The teacher has the architecture of the student, with convolutions and dense layers for adder layers. Both start at
    random and take each step together, so that the teacher is never far ahead. `compile` and `fit` it like any model;
    then take `student`, a plain model that knows nothing of this. `evaluate` and `predict` answer with the student.

    The student by itself is not compiled: `student.predict` works at once, but call `student.compile(loss=...,
    metrics=...)` before `student.evaluate`, and with an optimizer before `student.fit`.

    The teacher learns from the labels alone. The loss of the student is

    `w * own + (1 - w) * distillation + feature_loss_weight * mean over pairs of layers of mean (s - t)^2`

    with `own` the loss given to `compile` and the penalties of its weights. The sums of two layers before activation
    are compared in kernels, since distances are distributed otherwise than products: `s` comes from
    `exp(-sum |x - w| / (2 sigma_s^2))`, `t` from `exp(sum x * w / (2 sigma_t^2))`. Each goes through a convolution of
    size 1 and batch normalization of its own, which are trained along and are part of neither network.

    All that is the paper's, which sums over the layers where we take their mean, so that a deep network needs no other
    weight than a flat one. What follows is ours. Where `sigma` is not given, `2 sigma^2` is the standard deviation
    of the layer's sums in the batch. The exponents are taken relative to their mean in the batch, a factor that batch
    normalization takes out again, and cut off at 20, so that nothing overflows. Batch normalization has no scale and
    offset there: with them both sides could agree on zero. What is compared is computed in float32.

    One optimizer trains all three. No loss reaches the weights of both networks, so for an optimizer that works on each
    weight by itself this is the same as an optimizer for each; `global_clipnorm` is not of that kind.

    Args:
        student: The adder network, Functional or built Sequential, e.g. from `keras_slim.adderize`. It is trained in
            place.
        teacher: A Functional or built Sequential model with inputs and outputs of the same shapes, trained in place.
            Defaults to the student's twin, all its weights drawn anew.
        distillation: How the student learns from the outputs of the teacher. Defaults to `Distillation()`: the weight
            `w` (the paper's alpha) is 0.5, and the divergence is that at temperature 3.
        feature_loss_weight: Weight of the comparison of layers: the paper's beta times the number of pairs. Much more
            than the default can keep a deep student from learning at all.
        layer_names: The adder layers to compare: names, if they are the same in the teacher, or a dictionary from names
            in the student to names in the teacher. Layers have no activation inside. Defaults to all such layers, if
            both networks have the same convolutions and dense layers in the same order.
        sigma: Widths of the two kernels, `(student's, teacher's)`. Defaults to what the batch says, layer by layer.
        name: Name of the model.
        **kwargs: Other arguments of `keras.Model`.

    Raises:
        UnsupportedLayerError: If a model decides in its own code which layers it calls, or the student has no adder
            layers that can be taught.
        ValueError: If the models, or two layers, do not fit together, or a model is not built.
        TypeError: If an argument is of another type.

    Example:

    >>> import keras, keras_slim as slim
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), slim.layers.AdderConv2D(4, 3, name="adder"),
    ...                             keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(10)])
    >>> distiller = slim.distillation.ProgressiveKernelDistillation(student)
    >>> type(distiller.teacher.get_layer("adder")).__name__
    'Conv2D'

    Reference:
        Xu et al. 2020, "Kernel Based Progressive Distillation for Adder Neural Networks", arXiv 2009.13044.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None = None,
        distillation: Distillation | None = None,
        feature_loss_weight: float = 0.5,
        layer_names: Mapping[str, str] | Iterable[str] | None = None,
        sigma: tuple[float, float] | None = None,
        name: str = "progressive_kernel_distillation",
        **kwargs,
    ):
        _check_model(student, "student")
        distillation = _check_distillation(distillation)
        check_teachable(student, distillation, OWNER)
        feature_loss_weight = check_number(feature_loss_weight, "feature_loss_weight", OWNER)
        sigma = _check_sigma(sigma)
        teacher = convolutional_twin(student) if teacher is None else teacher
        _check_model(teacher, "teacher")
        _check_alike(student, teacher)
        pairs = pair_layers(student, teacher, layer_names)
        super().__init__(name=name, **kwargs)
        self.student = student
        self.teacher = teacher
        self.distillation = distillation
        self.feature_loss_weight = feature_loss_weight
        self.sigma = sigma
        self.student_heads = [_head(pair.student_outputs[0], pair) for pair in pairs]
        self.teacher_heads = [_head(pair.teacher_outputs[0], pair) for pair in pairs]
        self.teacher_loss_tracker = keras.metrics.Mean(name="teacher_loss")
        self.distillation_loss_tracker = keras.metrics.Mean(name="distillation_loss")
        self.feature_loss_tracker = keras.metrics.Mean(name="feature_loss")
        # Keras would count a model or a list among the layers of this one.
        self._plan = _Plan(student, teacher, pairs, isinstance(distillation.loss, LOGITS))
        # Losses and metrics may be given by these names, which a Sequential model has not.
        self.output_names = self._plan.lessons.output_names = getattr(student, "output_names", None)
        self.built = True

    @property
    def losses(self):
        """What the student adds to its loss, such as the penalties of its weights."""
        return self.student.losses

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, **kwargs):
        """Configures the model for training.

        Args:
            optimizer: What trains both networks.
            loss: Loss of each network by the labels.
            loss_weights: As in `keras.Model.compile`.
            metrics: Metrics of the student.
            **kwargs: Other arguments of `keras.Model.compile`.

        Raises:
            ValueError: If there is no loss.
        """
        if loss is None:
            expected = "the loss by which the teacher learns"
            raise ValueError(invalid_argument("loss", f"{OWNER}.compile", expected=expected, received=loss))
        super().compile(optimizer=optimizer, loss=loss, loss_weights=loss_weights, metrics=metrics, **kwargs)
        self._plan.lessons.compile(loss=loss, loss_weights=loss_weights)

    def compile_from_config(self, config):
        """Compiles the model as `get_compile_config` says."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=None):
        """Returns the outputs of the student; in training also those of the teacher, and of layers in both."""
        if not training:
            return self.student(inputs, training=False)
        return _Answers(*self._plan.of_student(inputs), *self._plan.of_teacher(inputs))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss of the student, in training with all it learns from the teacher, and the teacher's."""
        if not isinstance(y_pred, _Answers):
            return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        own = super().compute_loss(x=x, y=y, y_pred=y_pred.student, sample_weight=sample_weight, training=training)
        lesson = self._plan.lessons.compute_loss(x=x, y=y, y_pred=y_pred.teacher, sample_weight=sample_weight)
        distilled, features = self._distillation_loss(y_pred), self._feature_loss(y_pred)
        self.teacher_loss_tracker.update_state(lesson)
        self.distillation_loss_tracker.update_state(distilled)
        self.feature_loss_tracker.update_state(features)
        weight = self.distillation.student_loss_weight
        return weight * own + (1 - weight) * distilled + self.feature_loss_weight * features + lesson

    def _distillation_loss(self, answers):
        said = keras.tree.map_structure(ops.stop_gradient, as_logits(answers.teacher, self._plan.teacher_shares))
        answered = as_logits(answers.student, self._plan.student_shares)
        return self.distillation.loss.compute_loss(said, answered)

    def _feature_loss(self, answers):
        """Returns how far the outputs of paired layers are from each other, as kernels see them, on average."""
        total = 0.0
        of_student, of_teacher = self.sigma or (None, None)
        heads = zip(self.student_heads, self.teacher_heads, strict=True)
        parts = zip(self._plan.axes, heads, answers.student_sums, answers.teacher_sums, strict=True)
        for axis, (student_head, teacher_head), ours, theirs in parts:
            for distances, products in zip(ours, theirs, strict=True):
                seen = student_head(kernel(ops.moveaxis(distances, axis, -1), of_student), training=True)
                products = ops.stop_gradient(ops.moveaxis(products, axis, -1))
                total += ops.mean(ops.square(seen - teacher_head(kernel(products, of_teacher), training=True)))
        return total / len(self.student_heads)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Returns the metrics of the student; outside training without the losses that there are only in training."""
        if isinstance(y_pred, _Answers):
            return super().compute_metrics(x, y, y_pred.student, sample_weight)
        trackers = self.teacher_loss_tracker, self.distillation_loss_tracker, self.feature_loss_tracker
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        return {name: value for name, value in results.items() if name not in {each.name for each in trackers}}

    def get_config(self) -> dict:
        """Returns the arguments as plain values."""
        return {
            **super().get_config(),
            "student": keras.saving.serialize_keras_object(self.student),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "distillation": self.distillation.get_config(),
            "feature_loss_weight": self.feature_loss_weight,
            "layer_names": self._plan.layer_names,
            "sigma": self.sigma,
        }

    @classmethod
    def from_config(cls, config: dict) -> "ProgressiveKernelDistillation":
        """Returns what `get_config` described."""
        models = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("student", "teacher")}
        return cls(**{**config, **models, "distillation": Distillation.from_config(config["distillation"])})


class _Answers(NamedTuple):
    """What a step of training compares: outputs, and for each pair of layers the sums of each call."""

    student: Any
    student_sums: Any
    teacher: Any
    teacher_sums: Any


class _Plan:
    """What is known before training starts, of no interest to Keras."""

    def __init__(self, student, teacher, pairs, compares_logits):
        self.axes = [pair.axis for pair in pairs]
        self.layer_names = {pair.student.name: pair.teacher.name for pair in pairs}
        self.of_student = _Observed(student, [pair.student_outputs for pair in pairs])
        self.of_teacher = _Observed(teacher, [pair.teacher_outputs for pair in pairs])
        self.lessons = keras.Model(*endpoints(teacher), name=teacher.name)  # only to compute its loss
        self.student_shares = end_in_softmax(student) if compares_logits else []
        self.teacher_shares = end_in_softmax(teacher) if compares_logits else []


class _Observed:
    """Runs a model and keeps the values of some of its tensors, in models inside it too."""

    def __init__(self, model, tensors):
        self._model = model
        self._tensors = tensors
        inputs = endpoints(model)[0]
        self._entry = keras.Model(inputs, keras.tree.flatten(inputs))  # takes what the model takes, of any kind

    def __call__(self, inputs):
        """Returns the outputs, and for each group of tensors a list of all their values."""
        wanted = {id(tensor) for group in self._tensors for tensor in group}
        outputs, values = observed_run(self._model, keras.tree.flatten(self._entry(inputs)), wanted)
        return outputs, [[value for tensor in group for value in values[id(tensor)]] for group in self._tensors]


def kernel(sums, sigma: float | None = None):
    """Returns `exp(sums / (2 sigma^2))` up to a factor that all elements have in common, in float32.

    Args:
        sums: Tensor: minus distances, or products.
        sigma: Width of the kernel. Defaults to that at which the exponents have standard deviation 1.
    """
    sums = ops.cast(sums, "float32")
    fixed = ops.stop_gradient(sums)
    width = ops.maximum(ops.std(fixed), keras.config.epsilon()) if sigma is None else 2 * sigma**2
    return ops.exp(ops.minimum((sums - ops.mean(fixed)) / width, LARGEST))


def _head(tensor, pair):
    """Returns a convolution of size 1 with batch normalization, to as many channels as the adder layer has."""
    rank, float32 = len(tensor.shape), {"dtype": "float32"}
    return keras.Sequential(
        [
            keras.Input((*[None] * (rank - 2), tensor.shape[pair.axis]), **float32),
            keras.layers.Dense(pair.student_outputs[0].shape[pair.axis], use_bias=False, **float32),
            keras.layers.BatchNormalization(center=False, scale=False, **float32),
        ]
    )


def _check_model(model, name):
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument(name, OWNER, expected="a Keras model", received=model))
    check_graph(model)


def _check_distillation(distillation):
    if distillation is None:
        return Distillation()
    if not isinstance(distillation, Distillation):
        expected = "a `keras_slim.distillation.Distillation`"
        raise TypeError(invalid_argument("distillation", OWNER, expected=expected, received=distillation))
    return distillation


def _check_sigma(sigma):
    if sigma is None:
        return None
    if not isinstance(sigma, tuple | list) or len(sigma) != 2:
        expected = "two numbers, the student's and the teacher's"
        raise TypeError(invalid_argument("sigma", OWNER, expected=expected, received=sigma))
    return tuple(check_positive(each, "sigma", OWNER) for each in sigma)


def _check_alike(student, teacher):
    """Raises if two models do not take and put out tensors of the same shapes."""
    ours, theirs = (
        keras.tree.map_structure(lambda tensor: str(tuple(tensor.shape)), endpoints(each))
        for each in (student, teacher)
    )
    if ours != theirs:
        raise ValueError(
            f"The teacher '{teacher.name}' does not fit the student '{student.name}'. Expected inputs and outputs "
            f"{ours}. Received: {theirs}. Leave `teacher` away to have it made from the student."
        )
