"""The side of torch-pruning in the comparison with its peers. Runs under an interpreter that has it, without Keras.

python peers_torch.py FOLDER SEED
"""

import copy
import json
import pathlib
import sys
import time
import types
from importlib.metadata import version

import numpy as np
import torch
import torch_pruning as tp
from peers_training import Cells, batches, learning_rate, multiply_accumulates
from torch import nn

TOOL = "torch-pruning"
VARIANTS = {
    "magnitude, every layer": (tp.importance.GroupMagnitudeImportance, False),
    "magnitude, global": (tp.importance.GroupMagnitudeImportance, True),
    "Taylor, global": (tp.importance.GroupTaylorImportance, True),
}
CLOSE = 0.98  # no unit goes whose loss would miss the target by more
STEPS = 400  # of its own benchmark: the network shrinks in small steps until the target is met


class Convolution(nn.Sequential):
    """A convolution with batch norm, padded at the right and below as TensorFlow pads for a stride of 2."""

    def __init__(self, before, after, kernel=3, stride=1):
        padding = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
        pad = [nn.ZeroPad2d(padding)] if kernel == 3 else []
        norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.1)
        super().__init__(*pad, nn.Conv2d(before, after, kernel, stride, bias=False), norm)


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.first = Convolution(before, after, stride=stride)
        self.second = Convolution(after, after)
        self.shortcut = Convolution(before, after, 1, stride) if before != after else nn.Identity()

    def forward(self, x):
        y = self.second(torch.relu(self.first(x)))
        return torch.relu(y + self.shortcut(x))


class Residual(nn.Module):
    """The network of `networks.residual`."""

    def __init__(self, width, blocks):
        super().__init__()
        self.stem = Convolution(3, width)
        widths = [width << stage for stage in range(3) for _ in range(blocks)]
        pairs = zip([width, *widths], widths, strict=False)
        self.blocks = nn.Sequential(*(Block(before, after, 1 + (before != after)) for before, after in pairs))
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, x):
        return self.classifier(self.blocks(torch.relu(self.stem(x))).mean((2, 3)))


def carry_over(model, weights):
    """Gives the network the weights of the one in Keras, which makes a block's second convolution before its first."""
    convolutions, norms = [model.stem[-2]], [model.stem[-1]]
    for block in model.blocks:
        shortcut = list(block.shortcut.children())
        convolutions += [block.second[-2], block.first[-2], *shortcut[:1]]
        norms += [block.first[-1], block.second[-1], *shortcut[1:]]
    with torch.no_grad():
        for number, layer in enumerate(convolutions):
            layer.weight.copy_(torch.from_numpy(weights[f"Conv2D/{number}/0"]).permute(3, 2, 0, 1))
        for number, layer in enumerate(norms):
            tensors = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
            for index, tensor in enumerate(tensors):
                tensor.copy_(torch.from_numpy(weights[f"BatchNormalization/{number}/{index}"]))
        model.classifier.weight.copy_(torch.from_numpy(weights["Dense/0/0"]).T)
        model.classifier.bias.copy_(torch.from_numpy(weights["Dense/0/1"]))


def check_outputs(model, weights):
    """Raises `AssertionError` unless the network answers as the one in Keras does; returns the largest difference."""
    difference = float(np.abs(outputs(model, as_tensor(weights["inputs"])).numpy() - weights["outputs"]).max())
    if not difference < 1e-4:
        raise AssertionError(f"The network differs from the one in Keras by {difference}. Expected less than 1e-4.")
    return difference


def as_tensor(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).contiguous(
        memory_format=torch.channels_last
    )


@torch.no_grad()
def outputs(model, x):
    model.eval()
    return torch.cat([model(batch) for batch in x.split(256)])


def accuracies(model, data):
    """Returns the accuracy on validation and on test images."""
    return {
        name: float((outputs(model, data[f"x_{name}"]).argmax(1) == data[f"y_{name}"]).float().mean())
        for name in ("validation", "test")
    }


def positions(model):
    """Returns how often one sample uses each weight of each convolution and dense layer, by layer."""
    found = {}

    def note(layer, inputs, output):
        found[layer] = output[0, 0].numel() if output.dim() == 4 else 1

    layers = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [each.register_forward_hook(note) for each in layers]
    outputs(model, torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return found


def counts(model):
    """Returns multiply-accumulates and trained parameters, counted as on the other side."""
    work = [(used, layer.weight.numel()) for layer, used in positions(model).items()]
    parameters = sum(each.numel() for each in model.parameters())
    return {"macs": multiply_accumulates(work), "parameters": parameters}


def cut(model, variant, speed_up, samples):
    """Prunes a network in place, in steps, until its multiply-accumulates are at most the target."""
    importance, is_global = VARIANTS[variant]
    model.eval()
    if importance is tp.importance.GroupTaylorImportance:
        for x, y in zip(samples[0].split(128), samples[1].split(128), strict=True):
            nn.functional.cross_entropy(model(x), y, reduction="sum").backward()
    used = positions(model)

    def macs():
        return multiply_accumulates((each, layer.weight.numel()) for layer, each in used.items())

    def saved(group):
        layers = [(dep.target.module, dep.handler, len(indices)) for dep, indices in group if dep.target.module in used]
        return sum(
            used[layer] * layer.weight.numel() * share(layer, function, number) for layer, function, number in layers
        )

    def share(layer, function, number):
        graph = pruner.DG
        is_output = graph.is_out_channel_pruning_fn(function)
        return number / (graph.get_out_channels(layer) if is_output else graph.get_in_channels(layer))

    target = macs() / speed_up
    pruner = tp.pruner.BasePruner(
        model,
        torch.zeros(1, 3, 32, 32),
        importance=importance(),
        global_pruning=is_global,
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[model.classifier],
    )
    while macs() > target and pruner.current_step < STEPS:
        for group in pruner.step(interactive=True):
            if macs() - saved(group) >= CLOSE * target:
                group.prune()
            if macs() <= target:  # in the middle of a step, lest all layers overshoot at once
                break


@torch.no_grad()
def recalibrate(model, x):
    """Estimates the statistics of batch norm anew, which torch-pruning does not do."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    model.train()
    for batch in x.split(128):
        model(batch)


def train(model, data, rate, epochs, seed, options):
    """Trains a network on the batches that every side gets, with a rate that falls to nothing."""
    x, y = data["x_train"], data["y_train"]
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    steps = epochs * (len(x) // options.batch)
    for step, (images, labels) in enumerate(batches(x, y, options.batch, epochs, seed)):
        model.train()
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, rate)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(as_tensor(images)), torch.from_numpy(labels)).backward()
        optimizer.step()


def examine(dense, variant, speed_up, seed, data, options):
    """Returns what one cut costs and gives, before and after fine-tuning, or before it alone."""
    model = copy.deepcopy(dense)
    samples = as_tensor(data["x_train"][: options.samples]), torch.from_numpy(data["y_train"][: options.samples])
    start, used = time.perf_counter(), time.process_time()
    cut(model, variant, speed_up, samples)
    found = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - used, **counts(model)}
    found["cut"] = accuracies(model, data)
    recalibrated = copy.deepcopy(model)
    recalibrate(recalibrated, samples[0])
    found["recalibrated"] = accuracies(recalibrated, data)
    if options.cut_only:
        return found
    model.zero_grad(set_to_none=True)
    train(model, data, options.fine_tuning_rate, options.fine_tuning_epochs, 100 + seed, options)
    return {**found, "fine_tuned": accuracies(model, data)}


def main(folder, seed):
    options = types.SimpleNamespace(**json.loads((folder / "options.json").read_text()))
    with np.load(folder / "data.npz") as file:
        data = {name: file[name] for name in file.files}
    for name in ("validation", "test"):
        data[f"x_{name}"], data[f"y_{name}"] = as_tensor(data[f"x_{name}"]), torch.from_numpy(data[f"y_{name}"])
    with np.load(folder / f"dense-{seed}.npz") as file:
        weights = {name: file[name] for name in file.files}
    dense = Residual(options.width, blocks=3).to(memory_format=torch.channels_last)
    carry_over(dense, weights)
    difference, cells = check_outputs(dense, weights), Cells(folder)
    if not cells.find(tool=TOOL, variant="dense", seed=seed):
        versions = {name: version(name) for name in ("torch", "torch-pruning")}
        found = {"cut": accuracies(dense, data), "difference": difference, "versions": versions}
        cells.add(tool=TOOL, variant="dense", seed=seed, **found, **counts(dense))
    for speed_up in options.speed_ups:
        for variant in VARIANTS:
            key = {"tool": TOOL, "variant": variant, "speed_up": speed_up, "seed": seed}
            if not cells.find(**key):
                cells.add(**key, **examine(dense, variant, speed_up, seed, data, options))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
