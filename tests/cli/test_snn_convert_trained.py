"""`snn convert` on networks that bring their own neurons: thresholds in the file's metadata (trained as spiking networks)
and quantised activations. The simulation in numpy below knows nothing of our code."""
import json

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import cli_support as cli

PICTURES = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Black and white pictures, so that all sums are exact."""
    folder = tmp_path_factory.mktemp("pictures")
    cli.write_flat(folder, np.where(cli.pictures(PICTURES) > 127, 255, 0).astype(np.uint8))
    return folder


def with_metadata(net, path, **entries):
    model = onnx.load_from_string(net.onnx())
    helper.set_model_props(model, {f"spiked.{k}": v for k, v in entries.items()})
    path.write_bytes(model.SerializeToString())
    return path


def conv3(x, w, b):
    """[c,h,w] with zeros around it."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.einsum("chwij,ocij->ohw", windows, w) + b[:, None, None]


def simulate(net, image, timesteps, fire, reset, amplitude, tau=1.0, hard=False):
    """(scores, spikes of both layers) of the network with these neurons, from rest."""
    v, scores, spikes = [0.0, 0.0], 0.0, [0, 0]

    def layer(i, current):
        h = tau * v[i] + current
        s = (h >= fire[i]).astype(float)
        v[i] = h * (1 - s) if hard else h - s * reset[i]
        spikes[i] += int(s.sum())
        return s * amplitude[i]

    for _ in range(timesteps):
        x = layer(0, conv3(image, net.conv, net.conv_bias))
        x = x.reshape(x.shape[0], x.shape[1] // 2, 2, -1, 2).mean((2, 4))
        x = layer(1, net.fc @ x.ravel() + net.fc_bias)
        scores = scores + net.out @ x + net.out_bias
    return scores / timesteps, spikes


CASES = {  # metadata, what simulate is told
    "srif-mpr": ({"neuron": "srif-mpr", "fire": "0.5"}, {}),
    "if": ({"neuron": "if", "fire": "0.5", "reset": "1", "amplitude": "1"}, {}),
    "levels": ({"neuron": "if", "fire": "0.5,1", "reset": "1,0.75", "amplitude": "1,2"},
               {"fire": (0.5, 1), "reset": (1, 0.75), "amplitude": (1, 2)}),
    "lif": ({"neuron": "lif", "tau": "0.5", "fire": "0.5"}, {"tau": 0.5, "hard": True}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_plain_request_runs_a_trained_network_as_it_was_trained(tmp_path, data, name):
    given, told = CASES[name]
    net = cli.Net(size=8)
    path = with_metadata(net, tmp_path / "n.onnx", timesteps="5", init="zero", **given)
    cli.ok("convert", path, "-o", tmp_path / "m")
    meta, _ = cli.open_model(tmp_path / "m")
    assert meta["spiked.provenance"]["threshold"] == "given"
    assert meta["spiked.recommended"]["timesteps"] == 5 and meta["spiked.recommended"]["init"] == "zero"
    results = cli.ok_json("classify", tmp_path / "m", *sorted(data.glob("*.png")), "--precision", "float32")["results"]
    assert len(results) == PICTURES
    pixels = np.where(cli.pictures(PICTURES) > 127, 1.0, 0.0)
    for image, result in zip(pixels, results):
        want = {"fire": (0.5, 0.5), "reset": (1, 1), "amplitude": (1, 1), **told}
        scores, spikes = simulate(net, image.reshape(1, 8, 8), 5, **want)
        best = int(scores.argmax())
        assert result["spikes"]["total"] == sum(spikes)
        assert result["class"]["index"] == best
        assert result["class"]["score"] == pytest.approx(scores[best], abs=1e-5)


def test_the_bundled_one_reads_the_sample_digits():
    samples = sorted((cli.LENET / "samples").glob("*.png"))
    answer = cli.ok_json("classify", cli.ROOT / "models/snn-mnist/model.safetensors", *samples)
    assert (answer["neuron"], answer["timesteps"], answer["init"]) == ("srif-mpr", 4, "zero")
    assert [r["class"]["label"] for r in answer["results"]] == [p.stem for p in samples]


BAD = {
    "spiked.fire: 3 values for 2 spiking layers": {"fire": "1,1,1"},
    "spiked.fire: 'no' is not a list of numbers": {"fire": "no"},
    "spiked.fire: '-1' is not a list": {"fire": "-1"},
    "spiked.fire: '1,,2' is not a list": {"fire": "1,,2"},
    "spiked.fire: it is missing beside": {"reset": "1"},
    "spiked.amplitude: '0' is not a list": {"fire": "1", "amplitude": "0"},
    "spiked.neuron: 'spiky' is not known": {"neuron": "spiky"},
    "spiked.init: 'matched' is not zero, half or weights": {"init": "matched"},
    "spiked.timesteps: '0' is not a number from 1 to 4096": {"timesteps": "0"},
    "spiked.timesteps: 'many' is not": {"timesteps": "many"},
    "spiked.tau: '1.5' is not a number above 0 and up to 1": {"tau": "1.5"},
}


@pytest.mark.parametrize("line", BAD)
def test_metadata_that_makes_no_sense_is_named(tmp_path, line):
    path = with_metadata(cli.Net(), tmp_path / "n.onnx", **BAD[line])
    assert f"n.onnx: {line}" in cli.failed("convert", path, "-o", tmp_path / "m", "--threshold", "given")
    assert not (tmp_path / "m").exists()


def test_given_thresholds_and_rules_do_not_mix(tmp_path, small, data):
    path = with_metadata(cli.Net(), tmp_path / "n.onnx", fire="0.5")
    said = cli.failed("convert", path, "-o", tmp_path / "m", "--threshold", "max", "--data", data)
    assert "threshold: the file's metadata gives thresholds" in said and "use 'given'" in said
    said = cli.failed("convert", small / "net.onnx", "-o", tmp_path / "m", "--threshold", "given")
    assert "threshold: the file's metadata gives no thresholds" in said
    said = cli.failed("convert", small / "net.onnx", "-o", tmp_path / "m")
    assert "data: thresholds are taken from activations, so pictures are needed" in said
    assert not (tmp_path / "m").exists()


def quantised_net(levels, low=0.0, high=1.0, rounding=False):
    """cli.Net with floor(clamp(x, low, high) * levels) / levels for its activations, and that network in numpy."""
    net = cli.Net(size=8)
    model = onnx.load_from_string(net.onnx())
    scalars = {"low": low, "high": high, "levels": levels, "half": 0.5}
    model.graph.initializer.extend(numpy_helper.from_array(np.float32(v), k) for k, v in scalars.items())
    nodes = []
    for n in model.graph.node:
        if n.op_type != "Relu":
            nodes.append(n)
            continue
        x, y = n.input[0], n.output[0]
        steps = [("Clip", ["low", "high"]), ("Mul", ["levels"])] + ([("Add", ["half"])] if rounding else [])
        for i, (op, more) in enumerate(steps + [("Floor", []), ("Div", ["levels"])]):
            out = y if op == "Div" else f"{y}_{i}"
            nodes.append(helper.make_node(op, [x, *more], [out]))
            x = out
    del model.graph.node[:]
    model.graph.node.extend(nodes)

    def quantise(x):
        return np.floor(np.clip(x, low, high) * levels + 0.5 * rounding) / levels

    def scores(image):
        x = quantise(conv3(image, net.conv, net.conv_bias))
        x = x.reshape(x.shape[0], x.shape[1] // 2, 2, -1, 2).mean((2, 4))
        return net.out @ quantise(net.fc @ x.ravel() + net.fc_bias) + net.out_bias
    return model.SerializeToString(), scores


@pytest.mark.parametrize("levels,low,high,rounding", [(8, 0, 1, False), (4, 0, 1, True), (8, 0.25, 1, False),
                                                      (8, 0, 0.75, False), (4, -0.5, 0.75, False)])
def test_a_quantised_network_has_no_conversion_error_at_its_t(tmp_path, data, levels, low, high, rounding):
    text, scores = quantised_net(levels, low, high, rounding)
    (tmp_path / "n.onnx").write_bytes(text)
    cli.ok("convert", tmp_path / "n.onnx", "-o", tmp_path / "m")     # no pictures: the clips are the thresholds
    meta, tensors = cli.open_model(tmp_path / "m")
    timesteps = round((high - low) * levels)                         # T = Tmax - Tmin
    assert meta["spiked.recommended"] == {"timesteps": timesteps, "init": "half" if rounding else "zero", "neuron": "asg"}
    assert meta["spiked.provenance"]["threshold"] == "clip"
    assert [t[0] for name, t in tensors.items() if name.endswith(".threshold")] == [high - low] * 2    # theta = T / Tq
    answer = cli.ok_json("classify", tmp_path / "m", *sorted(data.glob("*.png")), "--reference", "--precision",
                         "float32")
    pixels = np.where(cli.pictures(PICTURES) > 127, 1.0, 0.0)
    for image, result in zip(pixels, answer["results"]):
        want = scores(image.reshape(1, 8, 8))
        best = int(want.argmax())
        assert result["class"]["index"] == best
        assert result["class"]["score"] == pytest.approx(want[best], abs=1e-6)


def test_a_quantised_network_says_what_it_is(tmp_path):
    (tmp_path / "n.onnx").write_bytes(quantised_net(8)[0])
    cli.ok("convert", tmp_path / "n.onnx", "-o", tmp_path / "m", "-T", "3", "--init", "half")
    meta, _ = cli.open_model(tmp_path / "m")
    assert meta["spiked.recommended"] == {"timesteps": 3, "init": "half", "neuron": "asg"}   # what is asked for wins
    assert [n.get("levels") for n in meta["spiked.graph"] if n["op"] == "neuron"] == [8, 8]
    assert json.loads(json.dumps(meta["spiked.provenance"]))["pictures"] == 0
