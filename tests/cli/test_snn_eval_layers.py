"""`snn eval --layers`, `--csv=FILE` and `--plots`: what it says of layers against `snn classify` and numpy's float network."""
import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import cli_support as cli

KEYS = ["correlation", "mean_error", "rms_error", "relative_error", "rate", "first_spike_step", "silent",
        "quantisation_error", "quantisation_error_rectified"]


def layers_of(model, data, *options):
    return cli.ok_json("eval", model, "--data", data, "--layers", "--json", *options)


def test_rates_and_first_spikes_are_those_of_classify(small, model):
    answer = layers_of(model, small / "data", "-T", "3,8")
    assert answer["layer_pictures"] == 40 and answer["precision"] == "float32"
    assert [(x["name"], x["readout"], x["size"]) for x in answer["layers"]] == [("conv1", False, 256), ("fc1", False, 6),
                                                                               ("fc2", True, 3)]
    for k, t in enumerate([3, 8]):
        results = cli.ok_json("classify", model, *sorted((small / "data").iterdir()), "-T", t, "--trace",
                              "layers", "--precision", "float32")["results"]
        for i in range(2):
            layers = [r["spikes"]["layers"][i] for r in results]
            row = answer["layers"][i]["rows"][k]
            fired = sum(x["fired"] for x in layers)
            assert row["timesteps"] == t
            assert row["rate"] == pytest.approx(np.mean([x["rate"] for x in layers]), rel=1e-7)
            assert row["silent"] == pytest.approx(1 - fired / 40 / layers[0]["neurons"], rel=1e-7)
            assert row["first_spike_step"] == pytest.approx(
                sum(x["fired"] * (x["first_spike_step"] or 0) for x in layers) / fired, rel=1e-7)
            assert row["quantisation_error"] is None and row["quantisation_error_rectified"] is None
        assert "rate" not in answer["layers"][2]["rows"][k]


def test_scores_against_numpy(net, small, model):
    """The readout's figures are those of the scores; and after many steps every layer is its float activation."""
    results = cli.ok_json("classify", model, *sorted((small / "data").iterdir()), "-T", "5", "--precision",
                          "float32")["results"]
    x = np.array([r["scores"] for r in results]).ravel()
    activations, y = net.forward(cli.pictures(40), 0.25, 0.5)
    y = y.ravel()
    answer = layers_of(model, small / "data", "-T", "5,2048")
    row = answer["layers"][2]["rows"][0]
    assert row["correlation"] == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-5)
    assert row["mean_error"] == pytest.approx((x - y).mean(), rel=1e-5, abs=1e-5)
    assert row["rms_error"] == pytest.approx(math.sqrt(((x - y) ** 2).mean()), rel=1e-5)
    for layer, name in zip(answer["layers"], ["conv1", "fc1", None]):
        real = activations[name].ravel() if name else y
        rms = math.sqrt((real ** 2).mean())
        few, many = layer["rows"]
        assert layer["float_rms"] == pytest.approx(rms, rel=1e-6)
        assert few["relative_error"] == pytest.approx(few["rms_error"] / rms, rel=1e-6)
        assert many["correlation"] > 0.99999 and many["relative_error"] < 0.005
        assert few["correlation"] < many["correlation"] and few["rms_error"] > 10 * many["rms_error"]


def test_table_and_csv_show_the_same(small, model, tmp_path):
    options = ["eval", model, "--data", small / "data", "-T", "2,6", "--neuron", "srif-mpr", "--init", "zero"]
    answer = cli.ok_json(*options, "--layers", "--json")
    text = cli.ok(*options, "--layers", f"--csv={tmp_path / 'out.v1.csv'}")
    assert text.splitlines()[0].startswith("40 pictures, neuron=srif-mpr")  # the table comes too
    files = (tmp_path / "out.v1.csv").read_text(), (tmp_path / "out.v1-layers.csv").read_text()
    assert cli.ok(*options, "--layers", "--csv") == "\n".join(files)
    assert cli.ok(*options, "--csv=-") == files[0] == cli.ok(*options, "--csv")
    rows = list(csv.DictReader(io.StringIO(files[1])))
    wanted = [(layer, row) for k in range(2) for layer, row in ((x, x["rows"][k]) for x in answer["layers"])]
    assert len(rows) == len(wanted) == 6
    for got, (layer, row) in zip(rows, wanted):
        assert (got["layer"], int(got["timesteps"])) == (layer["name"], row["timesteps"])
        for key in KEYS:
            assert (float(got[key]) if got[key] else None) == (
                None if row.get(key) is None else pytest.approx(row[key], rel=1e-7)), key
    table = text.split("Layers at T=6, on 40 pictures")[1].splitlines()[3:6]
    for line, layer in zip(table, answer["layers"]):
        cells, row = re.split(r"  +", line.strip()), layer["rows"][1]
        assert cells[0] == ("scores" if layer["readout"] else layer["name"])
        shown = [float(c.rstrip(" %")) if c != "-" else None for c in cells[1:]]
        for value, key, scale, digits in zip(shown, KEYS, [1, 1, 1, 100, 1, 1, 100, 1, 1], [5, 5, 5, 2, 4, 2, 1, 4, 4]):
            assert value == (None if row.get(key) is None else
                             pytest.approx(scale * row[key], abs=0.51 * 10 ** -digits)), key
    for layer in answer["layers"][:2]:
        for row in layer["rows"]:
            assert 0 < row["quantisation_error_rectified"] < row["quantisation_error"]


@pytest.mark.parametrize("neuron", ["if-hard", "lif", "lif-soft", "srif", "asg", "if-signed"])
def test_every_neuron(small, model, neuron):
    rows = layers_of(model, small / "data", "-T", "4,16", "--neuron", neuron)["layers"][0]["rows"]
    for row in rows:
        assert 0.3 < row["correlation"] <= 1 and row["quantisation_error"] is None
        assert (row["first_spike_step"] is None) == (neuron == "asg")


def test_random_pictures_are_those_of_classify(small, model):
    """A picture's random spikes follow from its place among all pictures, whatever else is run; the run is named in full."""
    options = ["-T", "6", "--encoding", "rate", "--seed", "7", "--readout", "count", "--shift", "1", "--neuron", "lif",
               "--tau", "0.75"]
    results = cli.ok_json("classify", model, *sorted((small / "data").iterdir()), "--trace", "layers", *options)["results"]
    answer = layers_of(model, small / "data", *options, "--threads", "3")
    for i in range(2):
        rates = [r["spikes"]["layers"][i]["rate"] for r in results]
        assert answer["layers"][i]["rows"][0]["rate"] == pytest.approx(np.mean(rates), rel=1e-7)
    assert answer["rows"][0]["spikes"] == pytest.approx(np.mean([r["spikes"]["total"] for r in results]), rel=1e-7)
    run = {"neuron": "lif", "tau": 0.75, "init": "half", "shift": 1, "encoding": "rate", "seed": 7, "readout": "count",
           "precision": "float32"}
    assert {k: answer[k] for k in run} == run
    assert cli.ok("eval", model, "--data", small / "data", *options).startswith(
        "40 pictures, neuron=lif, init=half, tau=0.75, shift=1, encoding=rate, seed=7, readout=count, no labels")


def test_threads_make_no_difference(small, model):
    def numbers(n):
        return layers_of(model, small / "data", "-T", "1,6", "--neuron", "srif-mpr", "--threads", n)["layers"]

    assert numbers(1) == numbers(2) == numbers(3)


def test_limit_takes_pictures_evenly(small, model, tmp_path):
    """Of 40 pictures the 4 at 0, 10, 20 and 30; more than there are means all."""
    paths = sorted((small / "data").iterdir())
    cli.write_flat(tmp_path / "four", cli.pictures(40)[::10])
    few = layers_of(model, small / "data", "-T", "6", "--layer-limit", "4")
    assert few["pictures"] == len(paths) and few["layer_pictures"] == 4
    assert few["layers"] == layers_of(model, tmp_path / "four", "-T", "6")["layers"]
    assert layers_of(model, small / "data", "-T", "6", "--layer-limit", "1000")["layer_pictures"] == 40


def test_without_layers_nothing_is_said_of_them(small, model):
    answer = cli.ok_json("eval", model, "--data", small / "data", "-T", "2", "--json")
    assert "layers" not in answer and "layer_pictures" not in answer
    assert "Layers" not in cli.ok("eval", model, "--data", small / "data", "-T", "2")


def test_plots(small, model, tmp_path):
    options = ["eval", model, "--data", small / "data", "-T", "1,2,8", "--plots", tmp_path / "plots"]
    answer = cli.ok_json(*options, "--json")
    assert answer["layers"]  # it looks into them
    names = {"accuracy", "energy", "layer-correlation", "layer-error", "layer-rates", "first-spikes", "silent"}
    assert {p.stem for p in (tmp_path / "plots").glob("*.svg")} == names
    for name in names:
        text = (tmp_path / "plots" / f"{name}.svg").read_text()
        drawing = ElementTree.fromstring(text)
        assert drawing.tag.endswith("svg") and text.count("<path") >= 3
        words = " ".join("".join(t.itertext()) for t in drawing.iter("{http://www.w3.org/2000/svg}text"))
        assert "small, neuron=if, init=half" in words
        if name in ("accuracy", "energy"):
            assert "timesteps T" in words and "SNN" in words
        else:
            assert "T = 8" in words and "conv1" in words and "layer" in words
    cli.ok(*options, "--neuron", "srif-mpr")  # into the same folder
    assert {p.stem for p in (tmp_path / "plots").glob("*.svg")} - names == {"quantisation-error",
                                                                           "quantisation-error-rectified"}


def test_plots_of_a_network_without_neurons_or_labels(tmp_path):
    weights = cli.numpy_helper.from_array(np.eye(3, 64, dtype=np.float32), "w")
    nodes = [cli.helper.make_node("Flatten", ["x"], ["f"], "flat"),
             cli.helper.make_node("Gemm", ["f", "w"], ["y"], "fc", transB=1)]
    (tmp_path / "n.onnx").write_bytes(cli.onnx_model(nodes, [weights], [1, 8, 8]))
    cli.write_flat(tmp_path / "data", cli.pictures(3))
    cli.ok("convert", tmp_path / "n.onnx", "-o", tmp_path / "m", "--data", tmp_path / "data")
    cli.ok("eval", tmp_path / "m", "--data", tmp_path / "data", "-T", "2", "--plots", tmp_path / "plots")
    assert {p.stem for p in (tmp_path / "plots").glob("*.svg")} == {"accuracy", "energy", "layer-correlation",
                                                                   "layer-error"}


def test_hostile_names_stay_text(tmp_path):
    """Names of model and layers go into a script and into CSV: they must not get out of their quotes."""
    network = cli.Net()
    path = network.write(tmp_path / "n.onnx")
    evil = "x';system('id>pwned');a=\""
    onnx = cli.onnx.load(path)
    for node in onnx.graph.node:
        node.name = evil + node.name
    cli.onnx.save(onnx, path)
    cli.write_flat(tmp_path / "data", cli.pictures(3))
    cli.ok("convert", path, "-o", tmp_path / "m", "--data", tmp_path / "data", "--name", evil)
    options = ["eval", tmp_path / "m", "--data", tmp_path / "data", "-T", "2", "--layers"]
    names = [layer["name"] for layer in cli.ok_json(*options, "--json")["layers"]]
    assert all(name.startswith(evil) for name in names)
    cli.ok(*options, "--plots", tmp_path / "plots")
    assert not list(tmp_path.rglob("pwned")) and (tmp_path / "plots/silent.svg").exists()
    rows = csv.DictReader(io.StringIO((tmp_path / "plots/layers.csv").read_text()))
    assert [row["layer"] for row in rows] == names


def test_no_gnuplot(small, model, tmp_path):
    """Said before the work, not after it."""
    line = cli.failed("eval", model, "--data", small / "data", "--plots", tmp_path / "p", env={"PATH": str(tmp_path)})
    assert line == "snn: --plots draws with gnuplot, which is not installed (Debian: apt-get install gnuplot-nox)"
    assert not (tmp_path / "p").exists()


def test_places_that_cannot_be_written(small, model, tmp_path):
    (tmp_path / "file").write_text("")
    for option, place in [("--plots", tmp_path / "file"), ("--plots", tmp_path / "absent/p")]:
        done = cli.run("eval", model, "--data", small / "data", "-T", "1", option, place)
        assert done.returncode == 1 and done.stderr.startswith(f"snn: {place}"), done.stderr
    done = cli.run("eval", model, "--data", small / "data", "-T", "1", f"--csv={tmp_path / 'absent/x.csv'}")
    assert done.returncode == 1
    assert done.stderr == f"snn: {tmp_path / 'absent/x.csv'}: cannot write: No such file or directory\n"


def test_json_and_csv_share_no_output(small, model, tmp_path):
    assert "--json or --csv, not both" in cli.misused("eval", model, "--data", small / "data", "--json", "--csv")
    answer = cli.ok("eval", model, "--data", small / "data", "-T", "1", "--json", f"--csv={tmp_path / 'x'}")
    assert json.loads(answer)["pictures"] == 40 and (tmp_path / "x").read_text().startswith("timesteps,")
    assert not (tmp_path / "x-layers").exists()
