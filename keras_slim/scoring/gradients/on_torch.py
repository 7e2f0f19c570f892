"""Derivatives by autograd, step by step."""

import keras


def compiled(function):
    """Returns the function from a batch to tensors; nothing is compiled."""

    def step(model, scale, *batch):
        batch = keras.tree.map_structure(keras.ops.convert_to_tensor, batch, none_is_leaf=False)
        return function(scale, *batch)

    return step


def sums_of(model, scaled_loss, finished, weights):
    """Returns the function from a batch to what `finished` makes of activations and slopes."""
    import torch

    def sums(scale, x, y, sample_weight):
        frozen = [weight.value for weight in weights if not weight.value.requires_grad]
        try:
            for value in frozen:
                value.requires_grad_()
            with torch.enable_grad():
                loss, observed = scaled_loss(_followed, scale, x, y, sample_weight)
            sources = observed, [weight.value for weight in weights]
            flat = keras.tree.flatten(sources)
            slopes = torch.autograd.grad(loss, flat, allow_unused=True)
        finally:
            for value in frozen:
                value.requires_grad_(False)
        slopes = [torch.zeros_like(at) if slope is None else slope for at, slope in zip(flat, slopes, strict=True)]
        with torch.no_grad():
            return finished(observed, keras.tree.pack_sequence_as(sources, slopes), scale, x)

    return sums


def _followed(tensor, value):
    """Returns a value that autograd follows: after frozen layers it would not."""
    return value if value.requires_grad else value.detach().requires_grad_()


def step_of_descent(objective, variable, optimizer):
    """Returns the step."""
    import torch

    def step():
        with torch.enable_grad():
            value = objective(variable.value)
        optimizer.apply(torch.autograd.grad(value, [variable.value]), [variable])
        return value.detach()

    return step
