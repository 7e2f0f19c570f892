"""Operations of which a channel, scaled by a positive number, comes out scaled by it: `f(s x) = s f(x)`."""

import keras

from keras_slim.held import is_stock

# Names, since operations of `keras.ops` have no public classes; most are layers and operations at once.
ALWAYS = """
    ActivityRegularization Cropping1D Cropping2D Cropping3D Dropout ExpandDims Flatten GaussianDropout GaussianNoise
    GetItem Identity LeakyReLU LeakyRelu PReLU Permute Relu RepeatVector Reshape SpatialDropout1D SpatialDropout2D
    SpatialDropout3D Squeeze Transpose UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D MaxPooling2D
    MaxPooling3D
"""
JOINS = frozenset({"Concatenate"})
MERGES = frozenset({"Add", "Average", "Maximum", "Minimum", "Subtract"})
"""What meets in them must be scaled alike."""
FUNCTIONS = (None, keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu)


def is_homogeneous(operation: keras.Operation) -> bool:
    """Tells whether a layer or an operation hands on the scales of the channels it is given."""
    name = type(operation).__name__
    if not is_stock(type(operation)):
        return False
    if isinstance(operation, keras.layers.ReLU):
        return operation.max_value is None and not operation.threshold
    if isinstance(operation, keras.layers.Activation):
        return has_homogeneous_activation(operation)
    return name in ALWAYS.split() or name in JOINS or name in MERGES


def has_homogeneous_activation(layer: keras.layers.Layer) -> bool:
    """Tells whether the activation inside a layer is linear, ReLU, or ReLU with slopes."""
    activation = layer.activation
    return is_homogeneous(activation) if isinstance(activation, keras.layers.Layer) else activation in FUNCTIONS
