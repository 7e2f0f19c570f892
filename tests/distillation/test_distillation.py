import json

import keras
import numpy as np
import pytest

import keras_slim as slim

LOGITS = keras.distillation.LogitsDistillation
TEACHER, STUDENT = np.array([[2.0, -1.0, 0.5]], "float32"), np.array([[0.0, 1.0, 3.0]], "float32")


def divergence(temperature):
    """Hinton's loss by hand: T^2 times the divergence of the student's softened shares from the teacher's."""
    said, answered = (np.exp(logits / temperature) for logits in (TEACHER[0], STUDENT[0]))
    said, answered = said / said.sum(), answered / answered.sum()
    return temperature**2 * (said * np.log(said / answered)).sum()


@pytest.mark.parametrize(
    ("loss", "temperature"),
    [
        (None, 3.0),
        (LOGITS(4.0), 4.0),  # the divergence by its name
        (LOGITS(2.0, keras.losses.KLDivergence()), 2.0),
        (LOGITS(2.0, "kl_divergence"), 2.0),
    ],
)
def test_the_divergence_is_that_of_softened_shares(loss, temperature):
    distillation = slim.distillation.Distillation(loss)
    assert float(distillation.loss.compute_loss(TEACHER, STUDENT)) == pytest.approx(divergence(temperature), rel=1e-5)


def test_the_users_loss_is_not_changed():
    loss = LOGITS(4.0, ["kl_divergence", None])
    made = slim.distillation.Distillation(loss).loss
    assert loss.loss[0] is keras.losses.kl_divergence
    assert isinstance(made.loss[0], keras.losses.KLDivergence)
    assert made.loss[1] is None


@pytest.mark.parametrize("loss", [None, LOGITS(5.0), keras.distillation.FeatureDistillation("mae")])
def test_config_survives_json(loss):
    distillation = slim.distillation.Distillation(loss, student_loss_weight=0.25)
    config = json.loads(json.dumps(distillation.get_config()))
    again = slim.distillation.Distillation.from_config(config)
    assert again.get_config() == distillation.get_config()
    assert again.student_loss_weight == 0.25
    value, expected = (float(each.loss.compute_loss(TEACHER, STUDENT)) for each in (again, distillation))
    assert value == expected


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "mse"}, TypeError, r"`loss` of `Distillation`.*LogitsDistillation.*loss='mse'"),
        ({"student_loss_weight": 1.0}, ValueError, r"`student_loss_weight`.*share in \[0, 1\)"),
        (
            {"loss": keras.distillation.FeatureDistillation("mse", "conv", "conv")},
            ValueError,
            r"final outputs, without names of layers.*width changes with every cut",
        ),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        slim.distillation.Distillation(**options)
