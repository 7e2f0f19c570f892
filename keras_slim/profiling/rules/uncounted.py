"""Layers whose weights may have two or more dimensions but meet inputs too seldom to count."""

from keras import layers

from keras_slim.profiling.work import Work, register_work


@register_work(
    layers.Embedding,
    layers.PReLU,
    layers.Normalization,
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.GroupNormalization,
)
def uncounted(layer, call):
    return [Work(0, weight) for weight in layer.weights]
