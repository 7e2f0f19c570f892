"""Derivatives by `jax.grad`, of functions that get all variables as arguments."""

from collections import defaultdict

import keras

from keras_slim.graph.running import states_of


def compiled(function):
    """Returns the function from a batch to tensors, compiled for each size of a batch."""
    import jax

    traced = jax.jit(function)

    def step(model, scale, *batch):
        batch = keras.tree.map_structure(keras.ops.convert_to_tensor, batch, none_is_leaf=False)
        held = _held(model)
        run = function if model.run_eagerly else traced
        found, after = run([each.value for each in held], keras.ops.convert_to_tensor(scale, "float32"), *batch)
        for variable, value in zip(held, after, strict=True):
            if value is not None:
                variable.assign(value)
        return found

    return step


def sums_of(model, scaled_loss, finished, weights):
    """Returns the function from a batch to what `finished` makes of activations and slopes, to be compiled.

    It takes the values of all variables, and returns those that the model changes too.
    """
    import jax

    held = _held(model)

    def scope(values, others=()):
        return keras.StatelessScope([*zip(held, values, strict=True), *others], collect_losses=True)

    def sums(values, scale, x, y, sample_weight):
        places = defaultdict(list)

        def noted(tensor, value):
            places[id(tensor)].append(jax.ShapeDtypeStruct(value.shape, value.dtype))
            return value

        def shown():
            with scope(values):
                return scaled_loss(noted, scale, x, y, sample_weight)[0]

        jax.eval_shape(shown)

        # The slope by an activation is that by zeros that are added to it.
        def loss_of(zeros, wanted):
            left = {key: iter(each) for key, each in zeros.items()}
            with scope(values, ((weight, wanted[id(weight)]) for weight in weights)) as inside:
                loss, observed = scaled_loss(
                    lambda tensor, value: value + next(left[id(tensor)]), scale, x, y, sample_weight
                )
            after = [inside.get_current_value(each) for each in held]
            after = [None if new is old else new for new, old in zip(after, values, strict=True)]
            return loss, (observed, after)

        zeros = {key: [jax.numpy.zeros(each.shape, each.dtype) for each in shapes] for key, shapes in places.items()}
        with scope(values):
            wanted = {id(weight): weight.value for weight in weights}
            (slopes, found), (observed, after) = jax.grad(loss_of, argnums=(0, 1), has_aux=True)(zeros, wanted)
            return finished(observed, (slopes, [found[id(weight)] for weight in weights]), scale, x), after

    return sums


def _held(model):
    """Returns all variables of a model, with what its recurrent layers remember."""
    return [*{id(each): each for each in (*model.variables, *states_of(model.layers))}.values()]


def step_of_descent(objective, variable, optimizer):
    """Returns the compiled step."""
    import jax

    @jax.jit
    def slope(value):
        with keras.StatelessScope():
            return jax.value_and_grad(objective)(value)

    def step():
        value, direction = slope(variable.value)
        optimizer.apply([direction], [variable])
        return value

    return step
