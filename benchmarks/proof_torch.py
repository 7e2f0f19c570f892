"""The side of torch-pruning in the proof on ResNet-20. Runs under an interpreter that has it, without Keras.

python proof_torch.py FOLDER SEED
"""

import json
import pathlib
import sys
import time
import types

import numpy as np
import torch
from peers_torch import Residual, accuracies, as_tensor, carry_over, check_outputs, counts, cut
from peers_training import batches, moved, one_cycle
from torch import nn

VARIANT = "Taylor, global"


def train(model, x, y, options, seed):
    """Trains a network on the batches that every side gets; kernels decay as in Keras, apart from the gradient."""
    kernels = [each for each in model.parameters() if each.dim() > 1]
    optimizer = torch.optim.SGD(model.parameters(), lr=options.tuning_peak, momentum=0.9, nesterov=True)
    steps = options.tune_epochs * (len(x) // options.batch)
    given = moved(batches(x, y, options.batch, options.tune_epochs, seed), seed)
    for step, (images, labels) in enumerate(given):
        model.train()
        rate = one_cycle(step, steps, options.tuning_peak)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(as_tensor(images))
        nn.functional.cross_entropy(outputs.float(), torch.from_numpy(labels)).backward()
        with torch.no_grad():
            for each in kernels:
                each.mul_(1 - rate * options.decay)
        optimizer.step()


def main(folder, seed):
    options = types.SimpleNamespace(**json.loads((folder / "options.json").read_text()))
    with np.load(folder / "data.npz") as file:
        data = {name: file[name] for name in file.files}
    for name in ("validation", "test"):
        data[f"x_{name}"], data[f"y_{name}"] = as_tensor(data[f"x_{name}"]), torch.from_numpy(data[f"y_{name}"])
    with np.load(folder / f"dense-{seed}.npz") as file:
        weights = {name: file[name] for name in file.files}
    model = Residual(16, blocks=3).to(memory_format=torch.channels_last)
    carry_over(model, weights)
    check_outputs(model, weights)
    x, y = data["x_train"], data["y_train"]
    samples = as_tensor(x[: options.samples]), torch.from_numpy(y[: options.samples])
    start = time.process_time()
    cut(model, VARIANT, options.speed_up, samples)
    straight = 100 * accuracies(model, data)["test"]
    model.zero_grad(set_to_none=True)
    train(model, x, y, options, 100 + seed)
    seconds = time.process_time() - start
    found = {"straight": straight, "tuned": 100 * accuracies(model, data)["test"], "seconds": seconds, **counts(model)}
    (folder / f"torch-{seed}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
