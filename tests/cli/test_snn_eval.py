"""`snn eval`: every number it prints, recomputed from what `snn classify` says about the same pictures."""
import csv
import io
import math
import os
import pty
import re
import subprocess

import numpy as np
import pytest

import cli_support as cli

T = [1, 2, 5, 12]
PREPROCESS = {"mean": 0.25, "std": 0.5}  # of the model `small`


@pytest.fixture(scope="module")
def labelled(net, tmp_path_factory):
    """(folder, paths in eval's order, labels): 70 pictures in class folders, two thirds of them as the network sees them."""
    folder, pixels = tmp_path_factory.mktemp("labelled"), cli.pictures(70, seed=9)
    best = net.forward(pixels, **PREPROCESS)[1].argmax(1)
    labels = [int(c) if i % 3 else int(c + 1) % 3 for i, c in enumerate(best)]
    paths = cli.write_classes(folder, pixels, labels, "abc")
    order = sorted(range(len(paths)), key=lambda i: paths[i])
    return folder, [paths[i] for i in order], [labels[i] for i in order]


def recompute(model, paths, labels, timesteps, *options):
    """What `snn eval --json` should say, from one `snn classify` for each T."""
    rows, n = [], len(paths)
    macs = cli.ok_json("inspect", model, "--json")["macs"]
    for t in timesteps:
        results = cli.ok_json("classify", model, *paths, "-T", t, "--reference", *options)["results"]
        snn = np.array([r["class"]["index"] for r in results])
        ann = np.array([r["reference"]["class"]["index"] for r in results])
        row = {"timesteps": t, "agreement": 100 * np.mean(snn == ann),
               "spikes": np.mean([r["spikes"]["total"] for r in results]),
               "rate": np.mean([r["spikes"]["per_neuron_step"] for r in results]),
               "synaptic_operations": np.mean([r["spikes"]["synaptic_operations"] for r in results]),
               "energy_nj": np.mean([r["energy"]["snn_nj"] for r in results])}
        if labels is not None:
            difference = (ann == labels).astype(float) - (snn == labels)
            row["accuracy"] = 100 * np.mean(snn == labels)
            row["loss"] = 100 * difference.mean()
            row["loss_interval_95"] = 100 * 1.96 * difference.std() / math.sqrt(n)
        rows.append(row)
    return {"float_accuracy": None if labels is None else 100 * np.mean(ann == labels), "ann_nj": 4.6e-3 * macs,
            "pictures": n}, rows


def assert_equal(answer, head, rows):
    for key, value in head.items():
        assert answer[key] == (pytest.approx(value, rel=1e-7) if value is not None else None), key
    assert len(answer["rows"]) == len(rows)
    for got, wanted in zip(answer["rows"], rows):
        got.pop("table", None)  # which of the model's tables it ran with
        assert got == pytest.approx(wanted, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("init", ["half", "zero"])
def test_json_is_what_classify_gives(model, labelled, init):
    folder, paths, labels = labelled
    answer = cli.ok_json("eval", model, "--data", folder, "-T", ",".join(map(str, T)), "--init", init, "--json")
    head, rows = recompute(model, paths, labels, T, "--init", init)
    assert_equal(answer, head, rows)
    assert (answer["model"], answer["neuron"], answer["init"]) == ("small", "if", init)
    assert answer["float_accuracy"] == pytest.approx(100 * sum(i % 3 > 0 for i in range(70)) / 70)
    assert len({row["accuracy"] for row in rows}) > 1 and rows[0]["agreement"] < rows[-1]["agreement"]


def test_csv_and_table_show_the_same_numbers(model, labelled):
    arguments = ["eval", model, "--data", labelled[0], "-T", ",".join(map(str, T))]
    answer = cli.ok_json(*arguments, "--json")
    rows = list(csv.DictReader(io.StringIO(cli.ok(*arguments, "--csv"))))
    assert len(rows) == len(T)
    digits = {"accuracy": 4, "loss": 4, "loss_interval_95": 4, "agreement": 4, "spikes": 1, "rate": 6,
              "synaptic_operations": 1, "energy_nj": 1}
    for row, wanted in zip(rows, answer["rows"]):
        assert int(row.pop("timesteps")) == wanted["timesteps"]
        assert set(row) == set(digits)
        for key, text in row.items():
            assert len(text.partition(".")[2]) == digits[key]
            assert float(text) == pytest.approx(wanted[key], abs=0.51 * 10 ** -digits[key])
    lines = cli.ok(*arguments).splitlines()
    assert lines[0] == f"70 pictures, neuron=if, init=half, precision=int8, float accuracy {answer['float_accuracy']:.2f} %"
    for line, wanted in zip(lines[2:], answer["rows"]):
        cells = re.fullmatch(r" *(\d+) +(\S+) % +(\S+) \+- (\S+) +(\S+) % +(\d+) +(\S+) +(\d+) +(\d+)", line).groups()
        keys = ["timesteps", "accuracy", "loss", "loss_interval_95", "agreement", "spikes", "rate", "synaptic_operations",
                "energy_nj"]
        places = [0, 2, 2, 2, 2, 0, 4, 0, 0]
        for cell, key, n in zip(cells, keys, places):
            assert float(cell) == pytest.approx(wanted[key], abs=0.51 * 10 ** -n), key
    assert lines[2 + len(T)].split() == ["float", f"{answer['ann_nj']:.0f}"]


def test_the_bundled_model_on_its_samples(tmp_path):
    model, paths = cli.LENET / "model.safetensors", []
    for digit in range(10):
        (tmp_path / "data" / str(digit)).mkdir(parents=True)
        paths.append(tmp_path / "data" / str(digit) / "x.png")
        paths[-1].write_bytes((cli.LENET / "samples" / f"{digit}.png").read_bytes())
    answer = cli.ok_json("eval", model, "--data", tmp_path / "data", "-T", "1,4", "--json")
    assert_equal(answer, *recompute(model, paths, list(range(10)), [1, 4]))
    assert answer["float_accuracy"] == 100 and answer["rows"][1]["accuracy"] == 100
    plain = cli.ok_json("eval", model, "--data", tmp_path / "data", "-T", "1", "--init", "zero", "--json")
    assert plain["rows"][0]["accuracy"] < 100  # a single step is too few without its tables


def test_without_labels(small, model):
    arguments = ["eval", model, "--data", small / "data", "-T", "1,8"]
    answer = cli.ok_json(*arguments, "--json")
    assert_equal(answer, *recompute(model, sorted((small / "data").iterdir()), None, [1, 8]))
    rows = list(csv.DictReader(io.StringIO(cli.ok(*arguments, "--csv"))))
    assert [(r["accuracy"], r["loss"], r["loss_interval_95"]) for r in rows] == [("", "", "")] * 2
    assert [float(r["agreement"]) for r in rows] == pytest.approx([r["agreement"] for r in answer["rows"]])
    lines = cli.ok(*arguments).splitlines()
    assert lines[0] == "40 pictures, neuron=if, init=half, precision=int8, no labels: only the agreement with the float network is known"
    assert [line.split()[1:3] for line in lines[2:4]] == [["-", "-"]] * 2


def test_limit_takes_the_first_pictures(model, labelled):
    folder, paths, labels = labelled
    answer = cli.ok_json("eval", model, "--data", folder, "-T", "2", "--limit", "33", "--json")
    assert_equal(answer, *recompute(model, paths[:33], labels[:33], [2]))
    everything = cli.ok_json("eval", model, "--data", folder, "-T", "2", "--limit", "71", "--json")
    assert everything["pictures"] == 70


def test_timesteps_default_to_the_recommendation(small, model):
    answer = cli.ok_json("eval", model, "--data", small / "data", "--limit", "2", "--json")
    assert [row["timesteps"] for row in answer["rows"]] == [12]


def test_threads_make_no_difference(model, labelled):
    def numbers(n):
        answer = cli.ok_json("eval", model, "--data", labelled[0], "-T", "1,6", "--threads", n, "--json")
        return {k: v for k, v in answer.items() if not k.endswith("_seconds")}

    assert numbers(1) == numbers(2) == numbers(3)


def test_class_folders_follow_the_labels_of_the_model(model, tmp_path):
    pixels = cli.pictures(4)
    cli.write_classes(tmp_path / "data", pixels, [2, 2, 2, 2], "abc")  # only class c, which is index 2
    results = cli.ok_json("classify", model, *sorted((tmp_path / "data/c").iterdir()), "--reference")["results"]
    wanted = 100 * np.mean([r["reference"]["class"]["label"] == "c" for r in results])
    assert cli.ok_json("eval", model, "--data", tmp_path / "data", "--json")["float_accuracy"] == wanted
    (tmp_path / "data/zebra").mkdir()
    (tmp_path / "data/zebra/x.png").write_bytes((tmp_path / "data/c/000.png").read_bytes())
    line = cli.failed("eval", model, "--data", tmp_path / "data")
    assert "zebra: the folder is named like none of the model's 3 classes" in line


def test_labels_out_of_range(convert, model, tmp_path):
    """With and without class names in the model."""
    data = cli.write_idx(tmp_path / "idx", cli.pictures(3), [0, 2, 3])
    assert "t-labels-idx1-ubyte: picture #2 is of class 3, the model has 3 classes" in cli.failed("eval", model, "--data",
                                                                                                 data)
    convert()
    nameless = tmp_path / "model.safetensors"
    assert cli.failed("eval", nameless, "--data", data).endswith("picture 2 has label 3, but the network knows 3 classes")
    assert cli.ok_json("eval", nameless, "--data", data, "--limit", "2", "--json")["pictures"] == 2


def test_a_network_without_neurons(tmp_path):
    """Its rates are 0, and its answer is the float network's."""
    weights = cli.numpy_helper.from_array(np.eye(3, 64, dtype=np.float32), "w")
    nodes = [cli.helper.make_node("Flatten", ["x"], ["f"], "flat"),
             cli.helper.make_node("Gemm", ["f", "w"], ["y"], "fc", transB=1)]
    (tmp_path / "n.onnx").write_bytes(cli.onnx_model(nodes, [weights], [1, 8, 8]))
    cli.write_flat(tmp_path / "data", cli.pictures(3))
    cli.ok("convert", tmp_path / "n.onnx", "-o", tmp_path / "m", "--data", tmp_path / "data")
    row, = cli.ok_json("eval", tmp_path / "m", "--data", tmp_path / "data", "-T", "2", "--json")["rows"]
    assert (row["agreement"], row["spikes"], row["rate"]) == (100, 0, 0)


def test_pictures_that_cannot_be_read(model, labelled, tmp_path):
    assert "absent: no such file or folder" in cli.failed("eval", model, "--data", tmp_path / "absent")
    paths = cli.write_classes(tmp_path / "data", cli.pictures(40), [i % 3 for i in range(40)], "abc")
    paths[38].write_bytes(paths[38].read_bytes()[:50])
    line = cli.failed("eval", model, "--data", tmp_path / "data", "--json")
    assert line == f"snn: {tmp_path / 'data'}: c/038.png: truncated PNG"


@pytest.mark.parametrize("command", ["eval", "convert"])
def test_progress_only_on_a_terminal(small, model, tmp_path, command):
    """cli.ok has seen that standard error stays empty otherwise; on a terminal there is a bar that fills."""
    arguments = {"eval": ["eval", model, "--data", small / "data", "-T", "2", "--layers"],
                 "convert": ["convert", small / "net.onnx", "-o", tmp_path / "m", "--data", small / "data"]}[command]
    ours, theirs = pty.openpty()
    plain = cli.run(*arguments)
    assert plain.stderr == ""
    shown = subprocess.run([cli.SNN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    phase = {"eval": "simulating", "convert": "activations"}[command]
    assert f"\r{phase}" in text and "[" + "#" * 30 + "] 40/40" in text
    assert ("\rlayers" in text) == (command == "eval")
    assert b"\r" not in shown.stdout and b"#" * 5 not in shown.stdout
