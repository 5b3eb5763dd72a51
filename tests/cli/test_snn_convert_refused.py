"""What `snn convert` refuses: exit 1, one line that says why, and no file left behind or touched."""
import os

import numpy as np
import pytest
from onnx import helper, numpy_helper

import cli_support as cli


@pytest.fixture
def refused(small, tmp_path):
    """refused(options...): the line it says. The folder it should have written to must stay as it was."""
    def go(*options, onnx=small / "net.onnx", data=small / "data", output=None):
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        kept = folder / "kept.safetensors"
        kept.write_bytes(b"precious")
        source = [] if data is None else ["--data", data]
        line = cli.failed("convert", onnx, "-o", output or folder / "new.safetensors", *source, *options)
        if not output:
            again = cli.failed("convert", onnx, "-o", kept, *source, *options)
            assert again.replace(kept.name, "new.safetensors") == line
        assert list(folder.iterdir()) == [kept] and kept.read_bytes() == b"precious"
        return line
    return go


# ---- the ONNX file ----


def one_node(op, **attributes):
    nodes = [helper.make_node("Flatten", ["x"], ["f"], "flat"), helper.make_node(op, ["f"], ["t"], "/body/the_node",
                                                                                 **attributes),
             helper.make_node("Gemm", ["t", "w"], ["y"], "fc", transB=1)]
    return cli.onnx_model(nodes, [numpy_helper.from_array(np.ones((3, 64), np.float32), "w")], [1, 8, 8])


@pytest.mark.parametrize("op", ["Tanh", "Sigmoid", "Erf"])
def test_unsupported_operator_is_named_with_its_node(refused, tmp_path, op):
    (tmp_path / "bad.onnx").write_bytes(one_node(op))
    line = refused(onnx=tmp_path / "bad.onnx")
    assert "bad.onnx: /body/the_node: " in line and op in line


def test_the_same_network_with_a_supported_operator_is_taken(convert, tmp_path):
    (tmp_path / "good.onnx").write_bytes(one_node("Relu"))
    assert len(convert(onnx=tmp_path / "good.onnx")[1]["fc.bias"]) == 3


@pytest.mark.parametrize("twelfths", range(12))
def test_truncated(refused, small, tmp_path, twelfths):
    whole = (small / "net.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[:len(whole) * twelfths // 12])
    assert "cut.onnx: " in refused(onnx=tmp_path / "cut.onnx")


def test_not_onnx_at_all(refused, small, tmp_path):
    assert "000.png: " in refused(onnx=small / "data" / "000.png")
    assert "absent.onnx: no such file" in refused(onnx=tmp_path / "absent.onnx")
    assert "data: " in refused(onnx=small / "data")


def test_clip_rule_on_a_plain_relu_names_it(refused):
    line = refused("--threshold", "clip")
    assert "net.onnx: conv1: " in line and "plain ReLU" in line


def test_only_gray_and_colour_can_be_fed_with_pictures(refused, tmp_path):
    two = cli.Net(channels=2).write(tmp_path / "two.onnx")
    assert "2 channels" in refused(onnx=two)


# ---- options ----


@pytest.mark.parametrize("n", [1, 2, 4, 300])
def test_wrong_number_of_labels(refused, tmp_path, n):
    (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(n)))
    assert f"labels: {n} labels for the network's 3 classes" in refused("--labels", tmp_path / "labels.txt")


@pytest.mark.parametrize("content,why", [(b"", "empty"), (b"a\n\nc\n", "line 2 is empty"), (b"a\n\xff\xfe\nc\n", "UTF-8"),
                                         (b"a\n" + b"b" * 256 + b"\nc\n", "label 1 is longer")])
def test_bad_labels(refused, tmp_path, content, why):
    (tmp_path / "labels.txt").write_bytes(content)
    assert why in refused("--labels", tmp_path / "labels.txt")


def test_unreadable_labels(refused, small, tmp_path):
    assert "absent.txt: cannot read: No such file" in refused("--labels", tmp_path / "absent.txt")
    assert "data: cannot read: Is a directory" in refused("--labels", small / "data")


@pytest.mark.parametrize("option", ["--mean", "--std"])
@pytest.mark.parametrize("values", ["1,2", "1,2,3"])
def test_wrong_count_of_preprocessing_values(refused, option, values):
    n = values.count(",") + 1
    assert f"net.onnx: {option} has {n} values, but the input has 1 channels" in refused(option, values)


@pytest.mark.parametrize("option,value", [("--std", "0"), ("--std", "-1"), ("--std", "nan"), ("--std", "inf"),
                                          ("--mean", "nan"), ("--mean", "-inf")])
def test_preprocessing_that_gives_no_numbers(refused, option, value):
    assert option[2:] in refused(f"{option}={value}")


def test_name_too_long_or_not_utf8(refused):
    assert "name" in refused("--name", "n" * 256)
    assert "name" in refused("--name", os.fsdecode(b"\xff"))


# ---- data ----


def test_missing_and_empty_data(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "classes/one").mkdir(parents=True)
    (tmp_path / "zero").write_bytes(b"")
    assert "absent: no such file or folder" in refused(data=tmp_path / "absent")
    assert "empty: the folder holds no PNG" in refused(data=tmp_path / "empty")
    assert "one: the class folder holds no PNG" in refused(data=tmp_path / "classes")
    assert "zero: " in refused(data=tmp_path / "zero")


DAMAGES = {"end": lambda raw: raw[:-20], "header": lambda raw: raw[:20], "empty": lambda raw: b"",
           "other": lambda raw: b"GIF89a", "bit": lambda raw: raw[:45] + bytes([raw[45] ^ 1]) + raw[46:]}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("folder", ["flat", "classes"])
def test_corrupt_png_is_named(refused, tmp_path, damage, folder):
    pixels = cli.pictures(6)
    if folder == "flat":
        paths, item = cli.write_flat(tmp_path / "data", pixels), "004.png"
    else:
        paths = cli.write_classes(tmp_path / "data", pixels, [0, 1, 0, 1, 1, 0], ["a", "b"])
        item = "b/004.png"
    paths[4].write_bytes(DAMAGES[damage](paths[4].read_bytes()))
    assert f"{item}: " in refused(data=tmp_path / "data")


def test_damaged_binary_data(refused, tmp_path):
    cifar = cli.write_cifar(tmp_path / "c.bin", cli.pictures(3, 32, 3), [0, 1, 2])
    cifar.write_bytes(cifar.read_bytes()[:-1])
    assert "c.bin: " in refused(data=cifar)
    cli.write_cifar(cifar, cli.pictures(3, 32, 3), [0, 10, 2])
    assert "c.bin: record 1 has label 10" in refused(data=cifar)
    idx = cli.write_idx(tmp_path / "i", cli.pictures(3), [0, 1])
    assert "t-labels-idx1-ubyte: " in refused(data=idx)
    idx.write_bytes(idx.read_bytes()[:-1])
    assert "t-images-idx3-ubyte: " in refused(data=idx)


# ---- output ----


def test_output_that_cannot_be_written(refused, small, tmp_path):
    assert "absent/m.safetensors: " in refused(output=tmp_path / "absent" / "m.safetensors")
    assert "net.onnx/m.safetensors: " in refused(output=small / "net.onnx" / "m.safetensors")


def test_output_that_must_not_be_replaced(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        assert f"{name}: it is there and no regular file" in refused(output=tmp_path / name)
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "folder").is_dir()
