"""`snn convert` and `snn eval` on every kind of data set: the same pictures must give the same numbers."""
import numpy as np
import pytest

import cli_support as cli

LABELS = [2, 0, 1, 0, 2, 1, 1, 2, 0, 0]
NAMES = ["ant", "bee", "cow"]


def write(kind, folder, pixels):
    """The path to give as DATA."""
    if kind == "classes":
        write_to = folder / "classes"
        cli.write_classes(write_to, pixels, LABELS, NAMES)
    elif kind == "flat":
        write_to = folder / "flat"
        cli.write_flat(write_to, pixels)
    elif kind == "cifar":
        return cli.write_cifar(folder / "pictures.bin", pixels, LABELS)
    elif kind == "cifar-folder":
        write_to = folder / "batches"
        write_to.mkdir()
        for k in (0, 1):
            part = slice(5 * k, 5 * k + 5)
            cli.write_cifar(write_to / f"data_batch_{k + 1}.bin", pixels[part], LABELS[part])
        cli.write_cifar(write_to / "test_batch.bin", 255 - pixels, LABELS)  # not of the training set
    else:
        return cli.write_idx(folder / "idx", pixels, LABELS if kind == "idx" else None)
    return write_to


@pytest.fixture(scope="module")
def rgb32(tmp_path_factory):
    """The network CIFAR-10 pictures fit, and its thresholds by numpy."""
    folder = tmp_path_factory.mktemp("rgb32")
    net, pixels = cli.Net(channels=3, size=32), cli.pictures(10, 32, 3)
    net.write(folder / "net.onnx")
    (folder / "labels.txt").write_text("\n".join(NAMES))
    maxima, scores = net.forward(pixels)
    return folder, pixels, {k: v.max((0, 2)) for k, v in maxima.items()}, scores


@pytest.mark.parametrize("kind", ["classes", "flat", "cifar", "cifar-folder", "idx", "idx-unlabelled"])
def test_colour(convert, tmp_path, rgb32, kind):
    folder, pixels, maxima, scores = rgb32
    data = write(kind, tmp_path, pixels)
    meta, tensors = convert("--threshold", "max", "--labels", folder / "labels.txt", onnx=folder / "net.onnx", data=data)
    assert meta["spiked.provenance"]["pictures"] == 10
    assert meta["spiked.provenance"]["data"] == data.name
    for layer, wanted in maxima.items():
        assert tensors[layer + ".activation_max"] == pytest.approx(wanted, rel=1e-5)
    answer = cli.ok_json("eval", tmp_path / "model.safetensors", "--data", data, "-T", "2", "--json")
    assert answer["pictures"] == 10
    right = 100 * np.mean(scores.argmax(1) == LABELS)
    assert answer["float_accuracy"] == (None if kind in ("flat", "idx-unlabelled") else pytest.approx(right))


@pytest.mark.parametrize("kind", ["classes", "flat", "idx", "idx-unlabelled"])
def test_gray(net, convert, tmp_path, kind):
    pixels = cli.pictures(10)
    _, tensors = convert("--threshold", "max", data=write(kind, tmp_path, pixels))
    for layer, a in net.forward(pixels)[0].items():
        assert tensors[layer + ".activation_max"] == pytest.approx(a.max((0, 2)), rel=1e-5)


def test_other_sizes_are_averaged_by_area(net, convert, tmp_path):
    large = cli.pictures(10, 16, levels=2)
    small = np.floor(large.reshape(10, 8, 2, 8, 2).mean((2, 4)) + 0.5).astype(np.uint8)
    cli.write_flat(tmp_path / "large", large)
    _, tensors = convert("--threshold", "max", data=tmp_path / "large")
    for layer, a in net.forward(small)[0].items():
        assert tensors[layer + ".activation_max"] == pytest.approx(a.max((0, 2)), rel=1e-5)
