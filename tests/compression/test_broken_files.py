"""Whatever a file holds, there is one error, or the model that was saved; no crash, no hang, no gigabytes."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import tracemalloc

import h5py
import keras
import pytest

from keras_slim import coding
from keras_slim.coding.byte_reader import framed
from keras_slim.compression import header, inspect_compressed, load_compressed, save_compressed, sealed_file
from keras_slim.errors import CompressedFileError, SlimWarning

REFUSED = r"This file cannot be read\. .*`keras_slim\.save_compressed` wrote\. Received: "


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.slim.h5"


def refuses(path, content, reason=""):
    """Checks that a file of these bytes is refused for a reason, and takes little memory."""
    if content is not None:
        path.write_bytes(content)
    for read in (load_compressed, inspect_compressed):
        tracemalloc.start()
        try:
            with pytest.raises(CompressedFileError, match=reason) as error:
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()
        error.match(REFUSED)


def parts_of(content):
    """Returns the header of a file as a dictionary, and what follows it."""
    with h5py.File(pathlib.Path(content), "r") as file:
        model = bytes(file["model"][:])
    reader = coding.byte_reader.ByteReader(model)
    plain = json.loads(coding.decode_text(reader.framed(), 1 << 24, header._words()))
    return plain, bytes(reader.take(reader.left))


def seal(path, plain, rest):
    """Writes a file as a person would who knows the format, right digest included."""
    text = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    sealed_file.write_sealed(path, [framed(coding.encode_text(text, header._words())), rest])


def sign(path):
    """Puts the right digest behind a file."""
    with open(path, "r+b") as file:
        digest = sealed_file._digest(file, os.path.getsize(path), 1)
        file.seek(0, os.SEEK_END)
        file.write(sealed_file._SEAL.pack(digest, 1, b"keras_slim"))


@pytest.mark.parametrize("start", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"text " * 300])
def test_other_files_are_refused(start, path):
    refuses(path, start, "no compressed model")


def test_keras_files_are_refused(path, model, tmp_path):
    model.save(tmp_path / "model.keras")
    refuses(path, (tmp_path / "model.keras").read_bytes(), "no compressed model")
    model.save_weights(tmp_path / "model.weights.h5")
    refuses(path, (tmp_path / "model.weights.h5").read_bytes(), "no compressed model")


def test_a_missing_file_is_said_to_be_missing(path):
    with pytest.raises(FileNotFoundError):
        load_compressed(path)


def test_a_folder_is_said_to_be_one(tmp_path):
    with pytest.raises(IsADirectoryError):
        load_compressed(tmp_path)


def test_a_file_that_was_cut_off_is_refused(path, content):
    for length in range(0, len(content), 41):
        refuses(path, content[:length], "no compressed model, or its end is missing")
    refuses(path, content[1:], "damaged since it was written")
    refuses(path, content + b"\0", "no compressed model, or its end is missing")


def flip(path, content, places, change):
    for place in places:
        changed = bytearray(content)
        changed[place] ^= change
        path.write_bytes(changed)
        with pytest.raises(CompressedFileError, match=REFUSED):
            inspect_compressed(path)


def test_a_changed_byte_is_found(path, content):
    flip(path, content, [*range(0, len(content), 13), *range(len(content) - 30, len(content))], 0x10)


@pytest.mark.slow
@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_each_changed_byte_is_found(change, path, content):
    flip(path, content, range(len(content)), change)


def test_another_version_is_named(path, model, monkeypatch):
    monkeypatch.setattr(sealed_file, "VERSION", 3)
    save_compressed(model, path)
    monkeypatch.undo()
    refuses(path, None, "format has version 3, and this keras_slim reads 1 and 2")


@pytest.mark.parametrize("index", range(0, 900, 7))
def test_hdf5_that_was_changed_on_purpose(index, path, content):
    """A person who computes the digest anew can change what HDF5 reads."""
    changed = bytearray(content[: -sealed_file._SEAL.size])
    places = [*range(300), *range(len(changed) - 600, len(changed))]
    changed[places[index]] ^= 0xFF
    path.write_bytes(changed)
    sign(path)
    with contextlib.suppress(CompressedFileError):
        inspect_compressed(path)


def test_a_header_that_is_none(path):
    for text in (b"", b"{", b"[]", b"{}", b"[" * 100_000, b'{"arrays": 3, "assets": []}', b"\xff"):
        seal(path, text, b"")
        refuses(path, None, "It is damaged")


def test_a_header_that_expands(path):
    seal(path, b" " * (header.MOST_HEADER_BYTES + 1), b"")
    refuses(path, None, "more than 16777216 bytes")


def changed_array(**changes):
    def change(plain):
        fields = list(header.ArrayEntry.__dataclass_fields__)
        for name, value in changes.items():
            plain["arrays"][0][fields.index(name)] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed_array(shape=[1 << 40]), "takes at least 4,398,0.* Expected 1,073,741,824 at most.*higher `max_bytes`"),
        (changed_array(shape=[1 << 62, 1 << 62]), "higher `max_bytes`"),
        (changed_array(shape=[-1]), "shape"),
        (changed_array(shape=[1 << 63]), "shape"),
        (changed_array(shape=[10**4000] * 400), "shape"),  # whose product takes minutes
        (changed_array(shape=[1] * 33), "shape"),
        (changed_array(shape=[1.5]), "shape"),
        (changed_array(shape=[True]), "shape"),
        (changed_array(shape=[3, 3, 1, 7]), "damaged"),
        (changed_array(dtype="|O"), "dtype"),
        (changed_array(dtype="|S1000000000", stored="|S1000000000"), "higher `max_bytes`"),
        (changed_array(dtype="<f4,<f4"), "dtype"),
        (changed_array(dtype="nonsense"), "damaged"),
        (changed_array(stored="<f8"), "stored as <f8"),
        (changed_array(length=1 << 40), "do not add up"),
        (changed_array(length=-1), "length"),
        (changed_array(key=3), "key"),
        (lambda plain: plain["arrays"][0].pop(), "damaged"),
        (lambda plain: plain["arrays"].pop(), "do not add up"),
        (lambda plain: plain.update(config=[]), "config"),
        (lambda plain: plain["assets"].append(["../../evil", 0, 0]), "damaged"),
        (lambda plain: plain["assets"].append(["bomb", 1 << 40, 0]), "higher `max_bytes`"),
    ],
)
def test_what_a_header_declares_is_checked(change, reason, path, saved):
    plain, rest = parts_of(saved.path)
    change(plain)
    seal(path, plain, rest)
    with pytest.raises(CompressedFileError, match=reason):
        load_compressed(path)


def test_an_asset_leads_nowhere_else(path, saved, tmp_path):
    plain, rest = parts_of(saved.path)
    for name in ("../evil", "/evil", "a/../../evil", "..", ""):
        code = coding.encode_text(b"evil")
        seal(path, plain | {"assets": [[name, 4, len(code)]]}, rest + code)
        with pytest.raises(CompressedFileError, match="outside its folder"):
            load_compressed(path)


def test_assets_that_exclude_each_other(path, saved):
    """One is a folder of the other's."""
    plain, rest = parts_of(saved.path)
    code = coding.encode_text(b"one")
    seal(path, plain | {"assets": [["a/b", 3, len(code)], ["a", 3, len(code)]]}, rest + 2 * code)
    with pytest.raises(CompressedFileError, match="damaged"):
        load_compressed(path)


def test_bytes_that_stand_in_another_file(path, saved):
    with h5py.File(path, "w") as file:
        file["model"] = h5py.ExternalLink(saved.path, "model")
        file["filling"] = [0] * 10_000
    sign(path)
    refuses(path, None, "does not hold what its seal promises")


TOO_LARGE = {
    "as it is": {},
    "by a longer name": {"module": "keras", "class_name": "layers.Dense"},
    "from its own module": {"module": "keras.src.layers.core.dense"},
    "beside a negative one": {"x": {"module": "keras.layers", "class_name": "Dense", "config": {"units": -(1 << 50)}}},
    "beside a text": {"x": {"module": "keras.layers", "class_name": "Embedding", "config": {"input_dim": "x"}}},
}


@pytest.mark.parametrize("change", TOO_LARGE.values(), ids=TOO_LARGE)
def test_an_architecture_that_is_too_large(change, path, saved):
    """The weights in the file are few; Keras would make the others before it missed them."""
    plain, rest = parts_of(saved.path)
    layer = plain["config"]["config"]["layers"][-1]
    layer["config"]["units"] = 1 << 40
    layer.update(change)
    seal(path, plain, rest)
    refuses(path, None, "higher `max_bytes`")


def test_an_architecture_that_hides_how_large_it_is(path, saved):
    """Without its build configuration a dense layer is built by what comes in."""
    plain, rest = parts_of(saved.path)
    first, *_ = layers = plain["config"]["config"]["layers"]
    first["config"]["batch_shape"] = [None, 1 << 40]
    plain["config"]["build_config"] = None
    dense = {name: entry for name, entry in layers[-1].items() if name != "build_config"}
    plain["config"]["config"]["layers"] = [first, dense]
    seal(path, plain, rest)
    with pytest.raises(
        CompressedFileError, match="takes at least 13,194,139,533,312 bytes.*higher `max_bytes`"
    ) as error:
        load_compressed(path)
    error.match(REFUSED)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Dense", {"units": [0]}),
        ("Dense", {"units": "x"}),
        ("Conv2D", {"filters": 1, "kernel_size": [10**4000] * 400}),
    ],
)
def test_an_architecture_of_odd_sizes(name, config, path, saved):
    """As Python multiplies them, a list or a text would take gigabytes, and long numbers minutes."""
    plain, rest = parts_of(saved.path)
    layer = {"module": "keras.layers", "class_name": name, "config": config}
    plain["config"]["config"]["layers"].append(layer | {"build_config": {"input_shape": [None, 1 << 27]}})
    seal(path, plain, rest)
    tracemalloc.start()
    with pytest.raises(CompressedFileError):
        load_compressed(path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_streams_that_expand_are_stopped(path, saved):
    plain, rest = parts_of(saved.path)
    bomb = coding.encode_text(b"0" * 100_000_000)
    seal(path, plain | {"assets": [["bomb", 10, len(bomb)]]}, rest + bomb)
    tracemalloc.start()
    with pytest.raises(CompressedFileError, match="more than 10 bytes"):
        load_compressed(path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_the_limit_can_be_raised(path):
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(50, use_bias=False)])
    save_compressed(model, path)
    with pytest.raises(CompressedFileError, match="takes at least 10,000 bytes. Expected 9,999 at most"):
        load_compressed(path, max_bytes=9_999)
    load_compressed(path, max_bytes=10_000)
    with pytest.raises(ValueError, match="`max_bytes` of `load_compressed`"):
        load_compressed(path, max_bytes=0)


def test_changed_arrays_are_refused_or_read(path, saved):
    """Each byte of the arrays changed on purpose: an error, or other weights."""
    plain, rest = parts_of(saved.path)
    for place in range(0, len(rest), 5):
        changed = bytearray(rest)
        changed[place] ^= 0xFF
        seal(path, plain, bytes(changed))
        with contextlib.suppress(CompressedFileError):
            inspect_compressed(path)


def test_layers_that_keras_does_not_know(path):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    save_compressed(keras.Sequential([keras.Input((2,)), Own()]), path)
    with pytest.raises(CompressedFileError, match="Keras cannot build .*`custom_objects`"):
        load_compressed(path)
    load_compressed(path, {"Own": Own})


def test_code_in_a_file_is_not_run_without_leave(path):
    way_out = r"`keras\.config\.enable_unsafe_deserialization\(\)`"
    with pytest.warns(SlimWarning, match=rf"a Python `lambda`.*model\.slim\.h5 only after {way_out}") as told:
        save_compressed(keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]), path)
    assert len(told) == 1
    with pytest.raises(CompressedFileError, match=f"Keras cannot build .*[Ll]ambda.*call {way_out} before"):
        load_compressed(path)

    def load_with_leave():
        keras.config.enable_unsafe_deserialization()
        return load_compressed(path)

    with concurrent.futures.ThreadPoolExecutor(1) as thread:  # it has the leave to itself
        same = thread.submit(load_with_leave).result()
    assert keras.ops.convert_to_numpy(same(keras.ops.ones((1, 2)))).tolist() == [[2, 2]]


def test_weights_that_do_not_fit_the_architecture(path, saved):
    plain, rest = parts_of(saved.path)
    plain["config"]["config"]["layers"][-1]["config"]["units"] = 4
    seal(path, plain, rest)
    with pytest.raises(CompressedFileError, match="Keras cannot build"):
        load_compressed(path)
