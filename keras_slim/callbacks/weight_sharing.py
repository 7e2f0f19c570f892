"""Training the few values that the weights of a kernel share."""

import keras
import numpy as np

from keras_slim.callbacks.arguments import check_ignore
from keras_slim.callbacks.holding_callback import HoldingCallback
from keras_slim.callbacks.saying import say, warn
from keras_slim.errors import invalid_argument
from keras_slim.plain_values import plain
from keras_slim.sharing.block_values import cut_of, stored
from keras_slim.sharing.codes import Codes
from keras_slim.sharing.share_weights import (
    blocks_of,
    check_bias_bits,
    check_bits,
    check_blocks,
    check_init,
    share,
    weights_to_share,
)
from keras_slim.sharing.tying import GRADIENTS, TyingHolder
from keras_slim.validation import check_choice, check_count


class WeightSharing(HoldingCallback):
    """Rounds each kernel to a few values, and trains these.

    When `fit` begins, or `free_epochs` later, each kernel is rounded to the k-means centres of its weights, as
    `keras_slim.share_weights` does. From then on, the weights that share a value are tied: they are the same, bit for
    bit, after every step, whatever the optimizer, and the value learns from the gradients of them all. Zeros are apart
    and stay zero, so a pruned model stays pruned. The model is a plain Keras model throughout; its file becomes smaller
    when it is compressed.

    When weights become tied, `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint(save_best_only=True)` forget
    their best value: they judge the network of shared values by its own epochs. What the optimizer remembers of each
    weight, such as momentum, goes on from where it was.

    Args:
        bits: Bits that count the values of a kernel, 1 to 8: it has at most `2 ** bits` values, and zero; or a
            dictionary of layer names or paths to bits, which leaves all other layers free. Defaults to 5.
        init: Where k-means begins: `"linear"`, which the paper found to be best, `"density"` or `"kmeans++"`, as in
            `keras_slim.coding.shared_values`. Defaults to `"linear"`, and to `"kmeans++"`, the only one there, for
            blocks.
        gradient: What a value learns from: the `"mean"` of the gradients of its weights, or their `"sum"`, as in the
            paper, which is the gradient of the loss by the value. With the sum, SGD wants a learning rate smaller by
            the number of weights that share a value; an optimizer that divides by the size of gradients, such as Adam,
            does much the same with both.
        block: Weights in a block that share a vector of values, as in `keras_slim.share_weights`: a kernel has at most
            `2 ** bits` vectors. A kernel whose blocks share as few already keeps them, so that values that
            `share_weights` has fitted to data are trained from there. Defaults to 1.
        codebooks: Sets of values of a kernel, as in `keras_slim.share_weights`. Defaults to 1.
        bias_bits: Bits that count the values of a bias, of the layers whose kernels share values. In a network with few
            weights left, biases are a large part of the file. Those that are zero when weights become tied stay zero.
            `None` leaves all biases free.
        free_epochs: Epochs of `fit` before weights are shared. Defaults to 0.
        ignore: Names of layers, or paths, to leave free.
        seed: Seed of what `"kmeans++"` draws.
        verbose: 0 says nothing, 1 says one line when weights become tied.

    Attributes:
        codes: Which weights are tied now, or were when `fit` ended, a `keras_slim.sharing.Codes`; `None` before
            they are.

    Raises:
        ValueError: If an argument is out of range; in `fit`, before training starts, if a name is not found, or there
            are no epochs after `free_epochs`.
        UnsupportedLayerError: In `fit`, before training starts, if there is nothing to share.

    Reference:
        Han et al. 2016, "Deep Compression" (arXiv 1510.00149), section 3.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> sharing = slim.callbacks.WeightSharing(bits=3, verbose=0)
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[sharing])
    >>> len(np.unique(model.layers[0].kernel))
    8
    """

    _kind = Codes

    def __init__(
        self,
        bits: int | dict[str, int] = 5,
        init: str | None = None,
        gradient: str = "mean",
        *,
        block: int | dict[str, int] = 1,
        codebooks: int | dict[str, int] = 1,
        bias_bits: int | None = None,
        free_epochs: int = 0,
        ignore=(),
        seed: int = 0,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.bits = check_bits(bits, owner)
        self.init = check_init(init, block, owner)
        self.gradient = check_choice(gradient, "gradient", owner, GRADIENTS)
        check_blocks(block, codebooks, owner)
        self.block, self.codebooks = block, codebooks
        self.bias_bits = check_bias_bits(bias_bits, owner)
        self.free_epochs = check_count(free_epochs, "free_epochs", owner, minimum=0)
        self.ignore = check_ignore(ignore, owner)
        self.seed = check_count(seed, "seed", owner, minimum=0)
        self.verbose = verbose

    @property
    def codes(self) -> Codes | None:
        return self._held

    def _choose(self):
        owner = type(self).__name__
        weights, self._bits = weights_to_share(self.model, self.bits, self.ignore, owner, self.bias_bits)
        self._blocks = blocks_of(weights, self.block, self.codebooks, owner)
        return weights

    def _begin(self, epoch):
        if self.params["epochs"] - epoch <= self.free_epochs:
            expected = f"fewer than the {self.params['epochs'] - epoch} epochs of `fit`"
            hint = "Train for more epochs, or share earlier."
            raise ValueError(
                invalid_argument(
                    "free_epochs", type(self).__name__, expected=expected, received=self.free_epochs, hint=hint
                )
            )

    def _change(self, epoch):
        if self.codes is None and epoch - self._first_epoch >= self.free_epochs:
            self._hold(share(self._weights, self._bits, self._blocks, self.init, self.seed))
            say(self.verbose, f"Epoch {epoch + 1}: weights are tied from here on, {self.codes}")

    def _hold(self, codes):
        """Ties the weights that share a value."""
        self._holder = TyingHolder(self.model, self._weights, codes, self.gradient)
        super()._hold(codes)

    def _known(self, epoch):
        if self.codes is not None:
            return {"sparsity": self.codes.sparsity, "distinct_values": self.codes.num_values}
        weights = [keras.ops.convert_to_numpy(each) for each in self._weights.values()]
        free = sum(map(np.count_nonzero, weights))  # each has a value of its own
        return {"sparsity": 1 - free / sum(map(np.size, weights)), "distinct_values": free}

    def _coded(self):
        held = {} if self.codes is None else self.codes
        return {id(self._weights[path]): self._stored(path, each) for path, each in held.items()}

    def _stored(self, path, codes):
        block, codebooks = self._blocks[path]
        return stored(codes, cut_of(self._weights[path], block), codebooks)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._first_epoch is not None and self.codes is None:
            warn(
                f"Training ended before `{type(self).__name__}` had shared weights. Expected more epochs than "
                f"free_epochs={self.free_epochs}. Received a `fit` that was stopped early. Share earlier."
            )

    def get_config(self) -> dict:
        """Returns the arguments as plain values."""
        return plain(
            {
                "bits": self.bits,
                "init": self.init,
                "gradient": self.gradient,
                "block": self.block,
                "codebooks": self.codebooks,
                "bias_bits": self.bias_bits,
                "free_epochs": self.free_epochs,
                "ignore": self.ignore,
                "seed": self.seed,
                "verbose": self.verbose,
            }
        )
