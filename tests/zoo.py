"""All models of the zoo."""

import importlib
import importlib.util

import pytest

KINDS = ["adder", "layers", "operations", "quantized", "sequences"]
NAMES = ["model_zoo", *(f"model_zoo_{kind}" for kind in KINDS)]
MODULES = [importlib.import_module(name) for name in NAMES if importlib.util.find_spec(name)]
BUILDERS = [builder for module in MODULES for builder in module.BUILDERS]


def all_but_slow(*names):
    """Returns all models as parameters of a test. It is a slow one for those of some names: others have their kind."""
    unknown = set(names) - {builder.__name__ for builder in BUILDERS}
    assert not unknown, f"no models of the zoo: {unknown}"
    return [
        pytest.param(builder, marks=pytest.mark.slow if builder.__name__ in names else [], id=builder.__name__)
        for builder in BUILDERS
    ]
