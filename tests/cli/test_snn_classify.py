"""`snn classify`: the daemon's own answer, whatever the options, kernels and threads; and what the numbers must satisfy."""
import base64
import importlib.util
import io
import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

import cli_support as cli

HTTP = cli.ROOT / "tests/http"


def http_helper():
    """tests/http/conftest.py, which knows how to start a daemon."""
    sys.path.append(str(HTTP))
    spec = importlib.util.spec_from_file_location("http_conftest", HTTP / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder of models as the daemon wants it: the bundled one, a gray one, a colour one without labels."""
    folder = tmp_path_factory.mktemp("served")
    for name, net, options in (("gray", cli.Net(seed=2), ["--labels", folder / "labels"]),
                               ("colour", cli.Net(channels=3, classes=7, seed=3), ["--std", "0.5", "--init", "zero"])):
        (folder / name).mkdir()
        (folder / "labels").write_text("x\ny\nz\n")
        cli.write_flat(folder / name / "data", cli.pictures(20, channels=net.channels))
        cli.ok("convert", net.write(folder / name / "net.onnx"), "-o", folder / name / "model.safetensors", "--data",
               folder / name / "data", "--name", name, "-T", "9", *options)
    (folder / "lenet-mnist").mkdir()
    (folder / "lenet-mnist/model.safetensors").write_bytes((cli.LENET / "model.safetensors").read_bytes())
    return folder


@pytest.fixture(scope="module")
def daemon(served):
    with http_helper().Daemon(served) as d:
        yield d


def without_latency(answer):
    assert set(answer["latency_ms"]) >= {"decode", "simulate", "total"}
    return {k: v for k, v in answer.items() if k != "latency_ms"}


def classify(model, *arguments, **options):
    return without_latency(cli.ok_json("classify", model, *arguments, **options))


# ---- the daemon's answer ----

OPTIONS = [
    ({}, []),
    ({"timesteps": 3}, ["-T", "3"]),
    ({"T": 6, "init": "zero", "neuron": "if"}, ["--timesteps", "6", "--init", "zero", "--neuron", "if"]),
    ({"T": 4, "init": "half", "top_k": 2, "trace": "layers"}, ["-T", "4", "--init", "half", "--top-k", "2", "--trace",
                                                               "layers"]),
    ({"T": 11, "encoding": "regular", "neuron": "asg"}, ["-T", "11", "--encoding", "regular", "--neuron", "asg"]),
    ({"T": 9, "encoding": "rate", "seed": 4294967295, "trace": "layers"},
     ["-T", "9", "--encoding", "rate", "--seed", "4294967295", "--trace", "layers"]),
    ({"T": 7, "readout": "count", "trace": "layers"}, ["-T", "7", "--readout", "count", "--trace", "layers"]),
    ({"T": 30, "stop": '{"margin": 0.1, "patience": 3}', "trace": "steps"},
     ["-T", "30", "--stop", "0.1,3", "--trace", "steps"]),
    ({"T": 4, "budget_ms": 60000}, ["-T", "4", "--budget-ms", "60000"]),
    ({"T": 5, "reference": "true", "trace": "layers", "top_k": 100}, ["-T", "5", "--reference", "--trace", "layers",
                                                                      "--top-k", "100"]),
]


@pytest.mark.parametrize("model", ["gray", "colour"])
@pytest.mark.parametrize("query,flags", OPTIONS)
def test_same_as_the_daemon(daemon, served, model, query, flags):
    picture = served / model / "data" / "003.png"
    theirs = daemon.classify(picture.read_bytes(), model, **query)
    assert theirs.status_code == 200
    assert classify(served / model / "model.safetensors", picture, *flags) == without_latency(theirs.json())


@pytest.mark.parametrize("digit", [4, 7])
def test_same_as_the_daemon_on_the_bundled_model(daemon, digit):
    picture = cli.LENET / "samples" / f"{digit}.png"
    theirs = daemon.classify(picture.read_bytes(), "lenet-mnist", T=4, reference="true", trace="layers").json()
    ours = classify(cli.LENET / "model.safetensors", picture, "-T", "4", "--reference", "--trace", "layers")
    assert ours == without_latency(theirs)
    assert ours["results"][0]["class"]["label"] == str(digit)


def png(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def picture_kinds():
    rgb = Image.fromarray(cli.pictures(1, 20, 3)[0])
    yield "rgb", png(rgb)
    yield "palette", png(rgb.convert("P"))
    yield "alpha", png(Image.fromarray(np.dstack([cli.pictures(1, 20, 3)[0], cli.pictures(1, 20)[0]])))
    yield "gray-alpha", png(rgb.convert("LA"))
    yield "16-bit", png(Image.fromarray(cli.pictures(1, 13)[0].astype(np.uint16) * 257))
    yield "1-bit", png(rgb.convert("1"))
    yield "wide", png(rgb.resize((61, 5)))
    yield "tiny", png(rgb.resize((1, 1)))


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in picture_kinds()])
def test_same_as_the_daemon_for_any_png(daemon, served, tmp_path, content):
    (tmp_path / "p.png").write_bytes(content)
    for model in ("gray", "colour"):
        ours = classify(served / model / "model.safetensors", tmp_path / "p.png")
        assert ours == without_latency(daemon.classify(content, model).json())


def test_several_pictures_at_once_and_one_by_one(daemon, served):
    model, paths = served / "gray/model.safetensors", sorted((served / "gray/data").iterdir())[:7]
    ours = classify(model, *paths, "-T", "6", "--trace", "layers", "--reference")
    body = {"images": [base64.b64encode(p.read_bytes()).decode() for p in paths], "timesteps": 6, "trace": "layers",
            "reference": True}
    assert ours == without_latency(daemon.classify_json(body, "gray").json())
    single = [classify(model, p, "-T", "6", "--trace", "layers", "--reference")["results"] for p in paths]
    assert [[r] for r in ours["results"]] == single
    assert len({json.dumps(r) for r in ours["results"]}) > 1


# ---- what the numbers must satisfy ----


def test_the_answer_agrees_with_itself(served):
    answer = classify(served / "gray/model.safetensors", served / "gray/data/001.png", "-T", "8", "--trace", "layers",
                      "--top-k", "2")
    assert {k: v for k, v in answer.items() if k not in ("results", "model_version")} == {
        "model": "gray", "calibration": None, "timesteps": 8, "neuron": "if", "init": "half", "shift": 0,
        "encoding": "direct", "readout": "potential", "precision": "int8"}
    result, = answer["results"]
    scores = np.array(result["scores"])
    shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    order = np.argsort(-scores)
    assert [(t["index"], t["label"], t["score"]) for t in result["top"]] == [(i, "xyz"[i], scores[i]) for i in order[:2]]
    assert [t["probability"] for t in result["top"]] == pytest.approx(shares[order[:2]], rel=1e-6)
    assert result["class"] == result["top"][0]
    assert result["timesteps_used"] == 8
    spikes = result["spikes"]
    assert [(layer["name"], layer["neurons"]) for layer in spikes["layers"]] == [("conv1", 256), ("fc1", 6)]
    for layer in spikes["layers"]:
        assert layer["rate"] == pytest.approx(layer["spikes"] / layer["neurons"] / 8)
    assert spikes["total"] == sum(layer["spikes"] for layer in spikes["layers"])
    assert spikes["per_neuron_step"] == pytest.approx(spikes["total"] / 262 / 8)
    image_macs = cli.ok_json("inspect", served / "gray/model.safetensors", "--json")["layers"][1]["macs"]
    pooled, last = (layer["spikes"] for layer in spikes["layers"])
    assert spikes["synaptic_operations"] == 6 * pooled + 3 * last
    assert result["energy"]["snn_nj"] == pytest.approx((0.9 * spikes["synaptic_operations"] + 4.6 * image_macs) / 1000)


def test_reference_is_the_float_network_and_many_steps_come_near_it(net, model, small):
    paths = sorted((small / "data").iterdir())[:10]
    _, wanted = net.forward(cli.pictures(40)[:10], mean=0.25, std=0.5)
    results = cli.ok_json("classify", model, *paths, "-T", "4096", "--reference", "--precision", "float32")["results"]
    for result, scores in zip(results, wanted):
        assert result["reference"]["scores"] == pytest.approx(scores, abs=1e-4)
        assert result["reference"]["class"]["index"] == scores.argmax()
        assert result["scores"] == pytest.approx(scores, abs=0.02)
    few = cli.ok_json("classify", model, *paths, "-T", "2")["results"]
    assert max(np.abs(np.array(r["scores"]) - s).max() for r, s in zip(few, wanted)) > 0.02


def test_options_left_out_are_the_recommended_ones(served, small, model):
    answer = classify(served / "colour/model.safetensors", served / "colour/data/000.png")
    assert (answer["timesteps"], answer["init"]) == (9, "zero")
    assert answer == classify(served / "colour/model.safetensors", served / "colour/data/000.png", "-T", "9", "--init",
                              "zero", "--top-k", "5", "--trace", "none")
    assert len(answer["results"][0]["top"]) == 5 and "reference" not in answer["results"][0]
    assert "layers" not in answer["results"][0]["spikes"]
    other = classify(model, small / "data/000.png", "--init", "zero")
    assert other["results"] != classify(model, small / "data/000.png")["results"]


def test_scores_beyond_float_are_null(tmp_path):
    net = cli.Net()
    net.out = np.sign(net.out) * 3e38
    cli.write_flat(tmp_path / "data", cli.pictures(5))
    cli.ok("convert", net.write(tmp_path / "n.onnx"), "-o", tmp_path / "m", "--data", tmp_path / "data", "--threshold",
           "max")
    result, = cli.ok_json("classify", tmp_path / "m", tmp_path / "data/000.png", "--reference")["results"]
    assert None in result["scores"] and len(result["scores"]) == 3
    assert None in result["reference"]["scores"] and len(result["top"]) == 3


# ---- kernels and threads ----


@pytest.mark.parametrize("name", ["gray", "colour", "lenet-mnist"])
def test_kernels_and_threads_make_no_difference(served, name):
    model = served / name / "model.safetensors"
    pictures = ([cli.LENET / "samples" / f"{i}.png" for i in (3, 8)] if name == "lenet-mnist"
                else sorted((served / name / "data").iterdir())[:3])
    flags = [*pictures, "-T", "3", "--trace", "layers"]
    usual = classify(model, *flags)
    assert cli.ok_json("inspect", model, "--json", env={"SPIKED_KERNELS": "scalar"})["kernels"] == "scalar"
    assert classify(model, *flags, env={"SPIKED_KERNELS": "scalar"}) == usual
    for n in "12":
        assert classify(model, *flags, env={"OMP_NUM_THREADS": n}) == usual
        assert classify(model, *flags, "--threads", n) == usual
    assert classify(model, flags[0], *flags[len(pictures):], "--threads", "2")["results"] == usual["results"][:1]


# ---- pictures that are none ----


def test_bad_pictures_are_named(model, small, tmp_path):
    good = small / "data/000.png"
    whole = good.read_bytes()
    for name, content, why in (("cut.png", whole[:-20], "truncated"), ("empty.png", b"", "not a PNG"),
                               ("text.png", b"hello", "not a PNG"), ("huge.png", bomb(), "")):
        (tmp_path / name).write_bytes(content)
        for arguments in ([tmp_path / name], [good, tmp_path / name], [tmp_path / name, good]):
            line = cli.failed("classify", model, *arguments)
            assert line.startswith(f"snn: {tmp_path / name}: ") and why in line
    assert cli.failed("classify", model, good, tmp_path / "absent.png") == (
        f"snn: {tmp_path / 'absent.png'}: cannot open: No such file or directory")
    assert cli.failed("classify", model, tmp_path).startswith(f"snn: {tmp_path}: cannot read")


def test_sizes_of_files(model, small, tmp_path):
    """Read to their ends whatever their size, up to the limit; pipes, whose size nobody knows, too."""
    whole = (small / "data/000.png").read_bytes()
    wanted = classify(model, small / "data/000.png")["results"][0]
    for n in (65535 - len(whole), 65536 - len(whole), 65537 - len(whole), 300000):  # a chunk that decoders pass over, before the end
        text = b"tEXt" + b"x" * (n - 12)
        (tmp_path / "long.png").write_bytes(whole[:-12] + struct.pack(">I", n - 12) + text + struct.pack(">I", zlib.crc32(text)) + whole[-12:])
        assert classify(model, tmp_path / "long.png")["results"][0] == wanted
    with open(tmp_path / "long.png", "r+b") as f:
        f.truncate((64 << 20) + 1)
    assert cli.failed("classify", model, tmp_path / "long.png") == f"snn: {tmp_path / 'long.png'}: larger than 64 MiB"
    with subprocess.Popen(["cat", small / "data/000.png"], stdout=subprocess.PIPE) as cat:
        piped = subprocess.run([cli.SNN, "classify", model, "/dev/fd/0"], stdin=cat.stdout, stdout=subprocess.PIPE, check=True)
    assert json.loads(piped.stdout)["results"][0] == wanted


def bomb():
    sys.path.append(str(HTTP))
    import models  # tests/http/models.py
    return models.bomb(60000, 60000)
