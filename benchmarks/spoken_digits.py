"""The Free Spoken Digit Dataset from a folder, as spectrograms."""

import pathlib

import keras
import numpy as np

RATE, SECONDS = 8000, 0.64


def load_spoken_digits(data_dir):
    """Returns training, validation and test clips as spectrograms on a logarithmic scale.

    The official test split is the first five recordings of each speaker and digit; the five after it are kept for
    validation.

    Args:
        data_dir: Folder with `fsdd.npz`: `audio`, all samples; `offsets`, where each clip begins; `label`; `index`.

    Returns:
        `((x_train, y_train), (x_validation, y_validation), (x_test, y_test))`; `x` of shape (clips, 41, 40).
    """
    with np.load(pathlib.Path(data_dir) / "fsdd.npz", allow_pickle=False) as file:
        audio, offsets, y, index = (file[name] for name in ("audio", "offsets", "label", "index"))
    length = round(RATE * SECONDS)
    clips = np.zeros((len(y), length), "float32")
    for clip, start, end in zip(clips, offsets[:-1], offsets[1:], strict=True):
        part = audio[start : min(end, start + length)]
        clip[: len(part)] = part / 32768
    mel = keras.layers.MelSpectrogram(256, 128, sampling_rate=RATE, num_mel_bins=40, max_freq=RATE // 2)
    x = np.concatenate([keras.ops.convert_to_numpy(mel(batch)) for batch in np.array_split(clips, 30)])
    x = np.moveaxis(x, 1, 2).astype("float32")
    x, y = (x - x[index >= 10].mean()) / x[index >= 10].std(), y.astype("int64")
    return tuple((x[part], y[part]) for part in (index >= 10, (index >= 5) & (index < 10), index < 5))
