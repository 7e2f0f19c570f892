"""Which layers a model, or a layer, is made of."""

import keras


def layers_within(layer):
    """Returns a layer and all layers inside it, those of wrappers and custom layers too."""
    found, waiting = {}, [layer]
    while waiting:
        value = waiting.pop()
        if isinstance(value, keras.Layer) and id(value) not in found:
            found[id(value)] = value
            waiting += vars(value).values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return list(found.values())
