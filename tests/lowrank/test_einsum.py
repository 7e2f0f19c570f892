"""`EinsumDense` as two of these, wherever its equation is a product with a matrix."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.lowrank import FactorizationPlan, LayerFactors, Size, seen

rng = np.random.default_rng(0)
CASES = {
    "usual": ("abc,cd->abd", (None, 9), "d", (5, 12)),
    "turned": ("abc,dc->abd", (5, 9), "bd", (5, 12)),
    "several made": ("abc,cde->abde", (5, 3, 4), "de", (5, 12)),
    "one of them in the bias": ("abc,cde->abde", (5, 3, 4), "e", (5, 12)),
    "several summed over": ("abcd,cde->abe", (5, 11), "e", (5, 3, 4)),
    "both, mixed": ("abcd,ebcf->aefd", (2, 6, 5), "ef", (3, 4, 5)),
    "made before": ("abc,dc->adb", (9, 5), "d", (5, 12)),
    "ellipsis": ("...x,xy->...y", 9, "y", (5, 12)),
    "ellipsis that is the batch": ("...x,xyz->...yz", (3, 4), None, (12,)),
    "ellipsis that is empty": ("...bx,xy->...by", (9,), "y", (12,)),
    "ellipsis behind": ("abc...,cd->abd...", (5, 9), "d", (5, 12, 2)),
}


def made(case):
    equation, output_shape, bias_axes, shape = CASES[case]
    keras.utils.set_random_seed(0)
    layer = layers.EinsumDense(equation, output_shape, "tanh", bias_axes, name="net", dtype="float64")
    model = keras.Sequential([keras.Input(shape, dtype="float64"), layer])
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model, rng.normal(size=(60, *shape)), layer


def matrix(layer):
    """The kernel as a matrix."""
    terms, outputs = layer.equation.split("->")
    labels = terms.split(",")[1]
    sums, yields = [each for each in labels if each not in outputs], [each for each in outputs if each in labels]
    kernel = np.einsum(f"{labels}->{''.join(sums + yields)}", np.array(layer.kernel))
    return kernel.reshape(np.prod(kernel.shape[: len(sums)]), -1)


@pytest.mark.parametrize("case", CASES)
def test_an_equation_that_is_a_product_with_a_matrix(case):
    model, x, layer = made(case)
    shape = matrix(layer).shape
    plan = FactorizationPlan((LayerFactors("net", "channel", shape, (min(shape),), 0.0),), (), Size(0, 0), Size(0, 0))
    np.testing.assert_allclose(slim.factorize(model, plan)(x), model(x), atol=1e-10)
    np.testing.assert_allclose(slim.factorize(model, plan, x)(x), model(x), atol=1e-5)
    plan = slim.plan_factorization(model, ranks=2, data=x)
    small = slim.factorize(model, plan)
    assert [type(each) for each in small.layers] == [layers.EinsumDense] * 2
    assert small.count_params() == plan.after.params < plan.before.params
    if None in layer.partial_output_shape:
        assert plan.after.macs is None, "sizes that are not told are not known between the two"
    else:
        assert slim.profile(small).macs == plan.after.macs < plan.before.macs == slim.profile(model).macs
    product = matrix(small.layers[0]) @ matrix(small.layers[1])
    u, s, v = np.linalg.svd(matrix(layer), full_matrices=False)
    np.testing.assert_allclose(product, (u[:, :2] * s[:2]) @ v[:2], atol=1e-10)


@pytest.mark.parametrize("case", ["turned", "several made", "both, mixed", "ellipsis behind"])
def test_a_look_at_data_loses_the_tail_of_the_responses(case, monkeypatch):
    monkeypatch.setattr(seen, "RIDGES", (0.0,))
    model, x, layer = made(case)
    x = x + 2
    layer.activation = keras.activations.linear
    small = slim.factorize(model, ranks=2, data=x)
    response, answers = np.array(model(x)), np.array(small(x))
    term = layer.equation.split("->")[1].replace("...", "z")
    labels = layer.equation.split("->")[0].split(",")[1]
    order = [*(each for each in term if each not in labels), *(each for each in term if each in labels)]
    response, answers = (
        np.einsum(f"{term}->{''.join(order)}", each).reshape(-1, matrix(layer).shape[1]) for each in (response, answers)
    )
    if case == "turned":  # its bias has another number for each place
        bias = np.broadcast_to(np.array(layer.bias), (60, 5, 9)).reshape(-1, 9)
        response, answers = response - bias, answers - bias
    missed = np.linalg.norm(answers - response)
    tail = np.linalg.svd(response - response.mean(axis=0), compute_uv=False)[2:]
    assert missed == pytest.approx(np.linalg.norm(tail), rel=1e-3)


@pytest.mark.parametrize(
    ("equation", "output_shape", "shape", "reason"),
    [
        ("abc,bcd->abd", (5, 9), (5, 12), "a kernel for each place"),
        ("abc,b->abc", (5, 12), (5, 12), "sums over no axis"),
        ("abc,cd->ad", (9,), (5, 12), "an axis that its kernel does not have"),
    ],
)
def test_other_equations_stay_whole(equation, output_shape, shape, reason):
    model = keras.Sequential([keras.Input(shape), layers.EinsumDense(equation, output_shape, name="net")])
    plan = slim.plan_factorization(model, ranks=1)
    assert not plan.layers
    assert not plan.whole or reason in plan.whole[0].reason
    assert plan.whole or equation == "abc,b->abc", "a vector is no kernel"


def test_two_of_them_are_saved_and_exported(tmp_path):
    x = rng.normal(size=(60, 5, 12))
    model = keras.Sequential([keras.Input((5, 12)), layers.EinsumDense("abc,cde->abde", (5, 3, 4), bias_axes="de")])
    small = slim.factorize(model, ranks=2, data=x)
    small.save(tmp_path / "small.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "small.keras")(x), small(x), atol=1e-6)
    slim.export_tflite(small, tmp_path / "small.tflite")
