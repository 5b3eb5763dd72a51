"""`snn convert`: what is in the file it writes, checked against numpy's forward pass over the same pictures."""
import hashlib

import numpy as np
import pytest

import cli_support as cli

LAYERS = ("conv1", "fc1")


def activations(net, pixels, **preprocess):
    """{layer: [channels, n * positions]}"""
    return {k: v.transpose(1, 0, 2).reshape(v.shape[1], -1) for k, v in net.forward(pixels, **preprocess)[0].items()}


def percentile(values, p):
    """The smallest value that p percent of the values do not exceed."""
    return np.sort(values.ravel())[max(0, int(np.ceil(p / 100 * values.size)) - 1)]


def test_weights_are_those_of_the_onnx_file(net, convert):
    meta, tensors = convert()
    assert [(n["name"], n["op"]) for n in meta["spiked.graph"]] == [
        ("x", "input"), ("conv1", "conv"), ("conv1", "neuron"), ("pool", "avgpool"), ("fc1", "conv"), ("fc1", "neuron"),
        ("fc2", "conv")]
    assert np.array_equal(tensors["conv1.weight"], net.conv.transpose(2, 3, 1, 0))
    assert np.array_equal(tensors["fc1.weight"], net.fc.reshape(6, 4, 4, 4).transpose(2, 3, 1, 0))
    assert np.array_equal(tensors["fc2.weight"], net.out.T[None, None])
    for layer, bias in (("conv1", net.conv_bias), ("fc1", net.fc_bias), ("fc2", net.out_bias)):
        assert np.array_equal(tensors[layer + ".bias"], bias)


@pytest.mark.parametrize("scope", ["channel", "layer"])
def test_max_is_the_largest_activation_exactly(net, convert, tmp_path, scope):
    pixels = cli.pictures(20, levels=2)
    cli.write_flat(tmp_path / "data", pixels)
    _, tensors = convert("--threshold", "max", "--per", scope, data=tmp_path / "data")
    for layer, a in activations(net, pixels).items():
        largest = a.max(1) if scope == "channel" else a.max()[None]
        silent = largest == 0
        assert not silent.all()
        assert np.array_equal(tensors[layer + ".activation_max"], largest)
        assert np.array_equal(tensors[layer + ".threshold"], np.where(silent, a.max(), largest))


@pytest.mark.parametrize("p", ["99.9", "97", "90.5"])
@pytest.mark.parametrize("scope", ["channel", "layer"])
def test_percentile(net, convert, small, scope, p):
    _, tensors = convert("--threshold", f"percentile={p}", "--per", scope, "--mean", "0.25", "--std", "0.5")
    lower = False
    for layer, a in activations(net, cli.pictures(40), mean=0.25, std=0.5).items():
        whole = percentile(a, float(p)) or a.max()
        wanted = [whole] if scope == "layer" else [percentile(c, float(p)) or whole for c in a]
        assert tensors[layer + ".threshold"] == pytest.approx(wanted, rel=0.01)
        assert tensors[layer + ".activation_max"].max() == pytest.approx(a.max(), rel=1e-5)
        lower |= tensors[layer + ".threshold"].max() < 0.97 * a.max()
    assert lower or p == "99.9"  # the rule was not simply the maximum


def test_percentile_100_is_max_and_the_default_is_99_9_per_channel(convert):
    def thresholds(*options):
        _, tensors = convert(*options)
        return [tensors[layer + ".threshold"] for layer in LAYERS]

    def same(a, b):
        return all(np.array_equal(x, y) for x, y in zip(a, b))

    assert same(thresholds("--threshold", "percentile=100"), thresholds("--threshold", "max"))
    assert same(thresholds(), thresholds("--threshold", "percentile=99.9", "--per", "channel"))
    assert not same(thresholds(), thresholds("--threshold", "max"))


def test_clip_is_the_bound_and_needs_no_data(convert, tmp_path):
    source = cli.Net(clip=1.5).write(tmp_path / "clip.onnx")
    meta, tensors = convert("--threshold", "clip", "--per", "layer", onnx=source, data=None)
    assert [tensors[layer + ".threshold"].tolist() for layer in LAYERS] == [[1.5], [1.5]]
    assert [n["clip"] for n in meta["spiked.graph"] if n["op"] == "neuron"] == [1.5, 1.5]
    assert meta["spiked.provenance"]["pictures"] == 0
    _, tensors = convert("--threshold", "clip", onnx=source, data=None)
    assert [tensors[layer + ".threshold"].tolist() for layer in LAYERS] == [[1.5] * 4, [1.5] * 6]


def test_clip_bounds_the_activations_of_the_other_rules(convert, tmp_path):
    clipped = cli.Net(clip=1.5)
    _, tensors = convert("--threshold", "max", onnx=clipped.write(tmp_path / "clip.onnx"))
    for layer, a in activations(clipped, cli.pictures(40)).items():
        assert tensors[layer + ".activation_max"] == pytest.approx(a.max(1), rel=1e-5)
        assert tensors[layer + ".activation_max"].max() == 1.5


def test_mean_and_std_of_every_channel(convert, tmp_path):
    rgb, pixels = cli.Net(channels=3), cli.pictures(12, channels=3)
    cli.write_flat(tmp_path / "data", pixels)
    mean, std = [0.5, 0.25, 0.125], [0.25, 0.5, 0.75]
    files = {"onnx": rgb.write(tmp_path / "rgb.onnx"), "data": tmp_path / "data"}
    meta, tensors = convert("--threshold", "max", "--mean", "0.5,0.25,0.125", "--std", "0.25,0.5,0.75", **files)
    assert meta["spiked.preprocess"] == {"mean": mean, "std": std, "background": 0}
    for layer, a in activations(rgb, pixels, mean=mean, std=std).items():
        assert tensors[layer + ".activation_max"] == pytest.approx(a.max(1), rel=1e-5)
    meta, _ = convert("--mean", "0.5", "--std", "2", "--background", "255", **files)
    assert meta["spiked.preprocess"] == {"mean": [0.5] * 3, "std": [2.0] * 3, "background": 255}


def test_f16_rounds_weights_and_nothing_else(net, convert, tmp_path):
    odd = cli.Net()
    odd.conv, odd.fc = odd.conv / 3, odd.fc / 3  # not representable
    source = odd.write(tmp_path / "odd.onnx")
    (_, full), (_, half) = convert(onnx=source), convert("--weights", "f16", onnx=source)
    for name, values in full.items():
        if name.endswith(".weight"):
            assert half[name].dtype == np.float16 and np.array_equal(half[name], values.astype(np.float16))
        else:
            assert half[name].dtype == np.float32 and np.array_equal(half[name], values)
    assert not np.array_equal(half["conv1.weight"].astype(np.float32), full["conv1.weight"])


def test_i8_is_the_nearest_step_of_each_output_channel(convert):
    (_, full), (_, small) = convert(), convert("--weights", "i8")
    weights = [name for name in full if name.endswith(".weight")]
    assert len(weights) == 3
    for name in weights:
        q, scale = small[name], small[name + ".scale"].astype(np.float64)
        assert q.dtype == np.int8 and scale.shape == (q.shape[-1],)
        assert np.allclose(scale, np.abs(full[name]).max((0, 1, 2)) / 127, rtol=1e-6)
        assert (np.abs(q * scale - full[name]) <= scale * 0.5001).all()
    for name in set(full) - set(weights):
        assert np.array_equal(small[name], full[name])


def test_labels_name_recommendations_and_provenance(convert, small, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\r\ntwo words\r\nKäfer", encoding="utf-8")
    meta, _ = convert("--labels", tmp_path / "labels.txt", "--name", "mine", "-T", "7", "--init", "zero", "--per",
                      "layer", "--threshold", "percentile=99.5", "--limit", "8")
    assert meta["spiked.format_version"] == "1"
    assert meta["spiked.name"] == "mine"
    assert meta["spiked.labels"] == ["cat", "two words", "Käfer"]
    assert meta["spiked.recommended"] == {"timesteps": 7, "init": "zero"}
    made = meta["spiked.provenance"]
    assert made.pop("tool").startswith("snn convert ")
    sha256 = hashlib.sha256((small / "net.onnx").read_bytes()).hexdigest()
    assert made == {"source": "net.onnx", "source_sha256": sha256, "threshold": "percentile=99.5", "per": "layer",
                    "data": "data", "pictures": 8}
    meta, _ = convert()
    assert meta["spiked.recommended"] == {"timesteps": 32, "init": "half"}
    assert "spiked.labels" not in meta


def test_limit_takes_evenly_spaced_pictures(net, convert):
    all_pixels = cli.pictures(40)
    seen = []
    for limit, chosen in (("5", all_pixels[::8]), ("1", all_pixels[:1]), ("0", all_pixels), ("9999", all_pixels)):
        meta, tensors = convert("--threshold", "max", "--limit", limit)
        assert meta["spiked.provenance"]["pictures"] == len(chosen)
        for layer, a in activations(net, chosen).items():
            assert tensors[layer + ".activation_max"] == pytest.approx(a.max(1), rel=1e-5)
        seen.append(tensors["conv1.activation_max"].max())
    assert seen[0] < seen[2]  # fewer pictures did make a difference


def test_the_same_bytes_every_time(convert, small, tmp_path):
    def bytes_of(name, *options, env=None, **files):
        convert(*options, output=tmp_path / name, env=env, **files)
        return (tmp_path / name).read_bytes()

    first = bytes_of("1")
    assert bytes_of("2") == first
    assert bytes_of("3", "--threads", "1") == bytes_of("4", "--threads", "2") == first
    assert bytes_of("5", data=f"{small}/data//") == first
    assert bytes_of("1") == first  # over the file that is there
    # Other kernels add in another order, so only the last bits of activations may differ.
    _, scalar = convert(env={"SPIKED_KERNELS": "scalar"})
    _, usual = cli.open_model(tmp_path / "1")
    assert all(np.allclose(scalar[k], usual[k], rtol=1e-3) for k in usual)


def test_says_what_it_made(small, tmp_path):
    output = tmp_path / "made.safetensors"
    said = cli.ok("convert", small / "net.onnx", "-o", output, "--data", small / "data")
    assert said.startswith(f"{output}: input 1x8x8, 3 classes, 2 spiking layers, {4 * 64 + 6} neurons, ")
    parameters = 4 * 9 + 4 + 6 * 64 + 6 + 3 * 6 + 3
    assert f" {parameters} parameters, " in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [output]
