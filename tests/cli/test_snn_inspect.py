"""`snn inspect`: the table and the JSON say what is in the file; files that are no model are refused in one line."""
import hashlib
import json
import re

import numpy as np
import pytest

import cli_support as cli

INVALID = cli.ROOT / "tests/invalid/model"


def table(path):
    """({name: value} of the head, rows of the table) of the text form."""
    head, layers = cli.ok("inspect", path).split("\n\n")
    lines = head.splitlines()
    assert lines[0] == str(path)
    fields = {line[2:15].strip(): line[15:] for line in lines[1:]}
    return fields, [re.split(r"  +", line.strip()) for line in layers.splitlines()[1:]]


def test_json_after_convert(net, model):
    answer = cli.ok_json("inspect", model, "--json")
    meta, tensors = cli.open_model(model)
    layers = answer.pop("layers")
    assert answer.pop("kernels") in ("scalar", "avx2", "avx512")
    assert answer.pop("int8_kernels") in ("scalar", "avx2", "avx512")
    largest = net.forward(cli.pictures(40), 0.25, 0.5)[1].max()  # score of the pictures it was converted with
    assert answer.pop("output_threshold") == pytest.approx(largest, rel=1e-5)
    assert answer == {
        "name": "small", "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "identity": hashlib.sha256(model.read_bytes()).hexdigest(), "tables": [],
        "input": {"shape": [1, 8, 8], "mean": [0.25], "std": [0.5], "background": 0}, "classes": 3,
        "labels": ["a", "b", "c"], "neurons": 4 * 64 + 6, "macs": sum(layer["macs"] for layer in layers),
        "recommended": {"timesteps": 12, "neuron": "if", "init": "half", "shift": 0}, "provenance": meta["spiked.provenance"]}
    assert [(layer["name"], layer["kind"], layer["shape"], layer["inputs"]) for layer in layers] == [
        ("x", "input", [1, 8, 8], []), ("conv1", "conv", [4, 8, 8], [0]), ("conv1", "neuron", [4, 8, 8], [1]),
        ("pool", "avgpool", [4, 4, 4], [2]), ("fc1", "conv", [6, 1, 1], [3]), ("fc1", "neuron", [6, 1, 1], [4]),
        ("fc2", "conv", [3, 1, 1], [5])]
    inside = (3 * 8 - 2) ** 2  # places of a 3x3 window that do not lie in the padding
    assert [layer["macs"] for layer in layers] == [0, 4 * inside, 0, 0, 6 * 64, 0, 3 * 6]
    assert [layer["parameters"] for layer in layers] == [0, 40, 0, 0, 390, 0, 21]
    for layer in layers:
        if layer["kind"] == "neuron":
            assert np.array_equal(np.float32(layer["threshold"]), tensors[layer["name"] + ".threshold"])
            assert "clip" not in layer
        else:
            assert "threshold" not in layer


def test_clip_is_shown(convert, tmp_path):
    convert("--threshold", "clip", onnx=cli.Net(clip=1.5).write(tmp_path / "c.onnx"), data=None)
    layers = cli.ok_json("inspect", tmp_path / "model.safetensors", "--json")["layers"]
    assert [layer.get("clip") for layer in layers if layer["kind"] == "neuron"] == [1.5, 1.5]


@pytest.mark.parametrize("bundled", [False, True])
def test_table_says_the_same_as_json(model, bundled):
    path = cli.LENET / "model.safetensors" if bundled else model
    answer, (fields, rows) = cli.ok_json("inspect", path, "--json"), table(path)
    assert fields["name"] == answer["name"] and fields["sha256"] == answer["sha256"]
    assert fields["classes"] == f"{answer['classes']}: {', '.join(answer['labels'])}"
    assert int(fields["neurons"]) == answer["neurons"]
    assert fields["MACs"] == f"{answer['macs']} (float pass)"
    assert fields["recommended"] == "T={timesteps}, neuron={neuron}, init={init}".format(**answer["recommended"])
    assert json.loads(fields["provenance"]) == answer["provenance"]
    assert fields["kernels"] == f'{answer["kernels"]}, int8 {answer["int8_kernels"]}'
    shape = "x".join(map(str, answer["input"]["shape"]))
    assert fields["input"].startswith(f"{shape}, (pixel/255 - mean)/std with mean {answer['input']['mean'][0]:g} ")
    assert len(rows) == len(answer["layers"])
    for i, (row, layer) in enumerate(zip(rows, answer["layers"])):
        extents = "x".join(map(str, layer["shape"]))
        assert row[:6] == [str(i), layer["kind"], layer["name"], extents, str(layer["parameters"]), str(layer["macs"])]
        if layer["kind"] != "neuron":
            last = [f"{answer['output_threshold']:.5g} (readout count)"] if i + 1 == len(rows) else []
            assert row[6:] == last
        elif len(layer["threshold"]) > 1:
            low, high, n = re.fullmatch(r"(\S+) \.\. (\S+) \((\d+) channels\)", row[6]).groups()
            assert (float(low), float(high)) == pytest.approx((min(layer["threshold"]), max(layer["threshold"])), rel=1e-3)
            assert int(n) == layer["shape"][0]
        else:
            assert float(row[6]) == pytest.approx(layer["threshold"][0], rel=1e-3)


def test_the_bundled_model():
    answer = cli.ok_json("inspect", cli.LENET / "model.safetensors", "--json")
    assert answer["name"] == "lenet-mnist" and answer["labels"] == [str(i) for i in range(10)]
    assert answer["input"]["shape"] == [1, 28, 28]
    assert answer["sha256"] == hashlib.sha256((cli.LENET / "model.safetensors").read_bytes()).hexdigest()
    assert sum(layer["kind"] == "neuron" for layer in answer["layers"]) == 7


@pytest.mark.parametrize("weights", ["f16", "i8"])
def test_stored_weights_make_no_difference_to_what_is_shown(convert, tmp_path, weights):
    convert(output=tmp_path / "f32")
    convert("--weights", weights, output=tmp_path / "rounded")
    full, rounded = (cli.ok_json("inspect", tmp_path / name, "--json") for name in ("f32", "rounded"))
    assert full.pop("sha256") != rounded.pop("sha256") and full.pop("identity") != rounded.pop("identity")
    assert full == rounded
    assert (tmp_path / "rounded").stat().st_size < (tmp_path / "f32").stat().st_size


CASES = sorted(INVALID.iterdir())


@pytest.mark.parametrize("case", CASES[::4], ids=lambda case: case.name)
def test_hostile_files(case):
    fragment = (case / "expected.txt").read_text().splitlines()[1]
    for options in ([], ["--json"]):
        line = cli.failed("inspect", case / "model.safetensors", *options)
        assert line.startswith(f"snn: {case / 'model.safetensors'}: ") and fragment in line


@pytest.mark.parametrize("command", ["inspect", "eval", "classify", "bench"])
def test_every_command_refuses_a_broken_model(small, model, tmp_path, command):
    rest = {"inspect": [], "eval": ["--data", small / "data"], "classify": [small / "data/000.png"],
            "bench": ["--seconds", "1"]}[command]
    (tmp_path / "cut").write_bytes(model.read_bytes()[:-4])
    assert cli.failed(command, tmp_path / "cut", *rest).startswith(f"snn: {tmp_path / 'cut'}: ")
    assert cli.failed(command, tmp_path / "absent", *rest) == f"snn: {tmp_path / 'absent'}: no such file"
    assert cli.failed(command, small, *rest).startswith(f"snn: {small}: ")


@pytest.mark.parametrize("sixteenths", range(16))
def test_truncated(model, tmp_path, sixteenths):
    whole = model.read_bytes()
    (tmp_path / "cut").write_bytes(whole[:len(whole) * sixteenths // 16])
    assert cli.failed("inspect", tmp_path / "cut").startswith(f"snn: {tmp_path / 'cut'}: ")


def test_control_characters_of_a_model_do_not_reach_the_terminal(model, tmp_path):
    """Names that try to write lines of their own or to move the cursor."""
    raw = model.read_bytes()
    evil = raw.replace(b'"small"', b'"a\\nb\\u001b"', 1)
    length = int.from_bytes(raw[:8], "little") + len(evil) - len(raw)
    evil = length.to_bytes(8, "little") + evil[8:]
    (tmp_path / "evil").write_bytes(evil)
    assert cli.ok_json("inspect", tmp_path / "evil", "--json")["name"] == "a\nb\x1b"
    text = cli.ok("inspect", tmp_path / "evil")
    assert "  name         a?b?\n" in text and "\x1b" not in text
    assert cli.ok("bench", tmp_path / "evil", "-T", "1", "--seconds", "1").startswith("a?b?: ")
