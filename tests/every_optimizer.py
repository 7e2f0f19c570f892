"""Every optimizer that Keras has, and ways to use them that keep other state."""

import keras
from since import since

OPTIMIZERS = sorted(
    name
    for name, cls in vars(keras.optimizers).items()
    if isinstance(cls, type)
    and issubclass(cls, keras.optimizers.Optimizer)
    and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
)
VARIANTS = {
    **{name: lambda name=name: getattr(keras.optimizers, name)(learning_rate=0.01) for name in OPTIMIZERS},
    "SGD with momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "RMSprop centered": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "Adam amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "Adam with EMA": lambda: keras.optimizers.Adam(0.01, use_ema=True),
    "Adam with accumulation": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "Adam with a schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    "Adam with loss scaling": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}
if since(3, 15):
    VARIANTS["several"] = lambda: keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.01, momentum=0.9), {"hidden/.*": keras.optimizers.Adam()})
    )
# Those that decide something within the step: only in one that is compiled is that a branch of a graph.
IN_GRAPH = {"Adam", "Adam with EMA", "Adam with accumulation", "Adam with loss scaling", "several"}


def mode(name, **in_graph):
    """Returns how a model with an optimizer of that name is compiled: eagerly, which is faster, unless it decides.

    All of them are trained under XLA too, by slow tests.
    """
    return in_graph if name in IN_GRAPH else {"run_eagerly": True}


def dense_model(optimizer="adam", **options):
    """A small network that each of them trains, compiled in graph mode unless the options say otherwise."""
    constraint = options.pop("constraint", None)
    hidden = keras.layers.Dense(8, "tanh", name="hidden", kernel_constraint=constraint)
    model = keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(2, name="head")], name="net")
    model.compile(optimizer, "mse", **{"jit_compile": False, **options})
    return model
