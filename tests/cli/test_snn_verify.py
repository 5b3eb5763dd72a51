"""`snn verify`: right models pass, against the file as snn reads it, against numpy and against torch; a wrong one fails and the
layer is named."""
import os
import pathlib
import sys

import numpy as np
import onnx
import pytest

import cli_support as cli


def verify(*arguments, code=0):
    done = cli.run("verify", *arguments)
    assert done.returncode == code, done.stderr
    return done


def verify_json(*arguments, code=0):
    return cli.json.loads(verify(*arguments, "--json", code=code).stdout)


def test_a_model_and_its_source(net, small, model, tmp_path):
    """Inputs go out, numpy is the other runtime, its scores come back: the figures are numpy's own."""
    inputs = tmp_path / "inputs.npy"
    answer = verify_json(small / "net.onnx", model, "--write-inputs", inputs, "-T", "0", "--limit", "5")
    x = np.load(inputs)
    assert x.shape == (5, 1, 8, 8) and x.dtype == np.float32
    pixels = np.round((x[:, 0] * 0.5 + 0.25) * 255)
    _, y = net.forward(pixels, 0.25, 0.5)
    assert len(np.unique(pixels)) > 100  # noise
    onnx_part = answer["onnx"]
    assert answer["ok"] and answer["pictures"] == 5 and answer["scores"] is None and answer["spiking"] == []
    assert onnx_part["layers_comparable"] and onnx_part["first_layer"] is None and onnx_part["agreement"] == 100
    assert onnx_part["largest"] == pytest.approx(np.abs(y).max(), rel=1e-5)
    assert onnx_part["difference"] <= 1e-5 * onnx_part["largest"]
    for name, save in [("s.npy", lambda f: np.save(f, y)), ("f4.npy", lambda f: np.save(f, y.astype(np.float32))),
                       ("s.csv", lambda f: np.savetxt(f, y, delimiter=",", header="class a,class b,class c")),
                       ("s.txt", lambda f: np.savetxt(f, y))]:
        save(tmp_path / name)
        given = verify_json(small / "net.onnx", model, "--limit", "5", "--scores", tmp_path / name, "-T", "0")["scores"]
        assert given["compared_as"] == "scores" and given["agreement"] == 100
        assert given["relative"] < 1e-5 and given["largest"] == pytest.approx(np.abs(y).max(), rel=1e-6)
    exact = y.copy()
    exact[3, 1] += 0.01 * np.abs(y).max()
    np.save(tmp_path / "wrong.npy", exact)
    options = [small / "net.onnx", model, "--limit", "5", "--scores", tmp_path / "wrong.npy", "-T", "0"]
    answer = verify_json(*options, code=1)
    assert not answer["ok"] and answer["onnx"]["relative"] < 1e-5
    assert answer["scores"]["difference"] == pytest.approx(0.01 * np.abs(y).max(), rel=1e-3)
    line = verify(*options, code=1).stderr
    assert line.startswith(f"snn: {model}: its scores differ from {tmp_path / 'wrong.npy'} by 0.0")
    assert line.endswith("; it does give the scores of the ONNX file as snn reads it\n")
    assert verify_json(*options, "--tolerance", "0.02")["ok"]


def test_softmax_at_the_end(net, small, model, tmp_path):
    """Other runtimes run the Softmax that our scores come before."""
    verify(small / "net.onnx", model, "--write-inputs", tmp_path / "x.npy", "-T", "0", "--limit", "4")
    x = np.load(tmp_path / "x.npy")
    _, y = net.forward((x[:, 0] * 0.5 + 0.25) * 255, 0.25, 0.5)
    p = np.exp(y - y.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    for form, given in [("softmax", p), ("log-softmax", np.log(p))]:
        np.save(tmp_path / "p.npy", given)
        answer = verify_json(small / "net.onnx", model, "--limit", "4", "--scores", tmp_path / "p.npy", "-T", "0")
        assert answer["scores"]["compared_as"] == form and answer["scores"]["relative"] < 1e-5


def test_the_spiking_network_converges(small, model):
    answer = verify_json(small / "net.onnx", model, "--data", small / "data", "-T", "2048")
    assert [row["timesteps"] for row in answer["spiking"]] == [128, 512, 2048]
    errors = [row["relative"] for row in answer["spiking"]]
    assert errors[2] < errors[0] and errors[2] < 0.005
    assert (answer["pictures"], answer["spiking"][2]["agreement"]) == (16, 100)
    assert (answer["neuron"], answer["init"], answer["precision"]) == ("if", "half", "float32")
    one = verify_json(small / "net.onnx", model, "--data", small / "data", "-T", "2048", "--neuron", "asg")
    assert [row["timesteps"] for row in one["spiking"]] == [2048]  # it knows no steps between


@pytest.mark.parametrize("part,layer", [("conv", "conv 'conv1'"), ("fc_bias", "conv 'fc1'"), ("out", "conv 'fc2'")])
def test_a_wrong_model_is_found_out(net, small, model, tmp_path, part, layer):
    """One number of the network changed since: the first layer that shows it is named."""
    other = cli.Net()
    getattr(other, part).flat[0] += 1
    other.write(tmp_path / "other.onnx")
    done = verify(tmp_path / "other.onnx", model, "--data", small / "data", "-T", "0", code=1)
    assert f"; the first layer to differ is {layer}, by " in done.stderr and done.stderr.count("\n") == 1
    assert "DIFFERS" in done.stdout
    found = verify_json(tmp_path / "other.onnx", model, "--data", small / "data", "-T", "0", code=1)["onnx"]["first_layer"]
    assert f"{found['kind']} '{found['name']}'" == layer and found["relative"] > 1e-3


def test_rounded_weights(small, convert, tmp_path):
    """f16 and i8 models differ by what rounding took; how much, verify tells."""
    errors = {}
    for weights in ("f32", "f16", "i8"):
        convert("--weights", weights)
        done = cli.run("verify", small / "net.onnx", tmp_path / "model.safetensors", "--data", small / "data", "-T", "0",
                       "--json", "--tolerance", "0.1")
        assert done.returncode == 0, done.stderr
        errors[weights] = cli.json.loads(done.stdout)["onnx"]["relative"]
    assert errors["f32"] < 1e-6 and errors["f16"] < 1e-3 and 1e-6 < errors["i8"] < 0.05


def test_other_layers(small, model, tmp_path):
    """A network of the same ends and other layers inside cannot be compared layer by layer."""
    weights = cli.numpy_helper.from_array(np.eye(3, 64, dtype=np.float32), "w")
    nodes = [cli.helper.make_node("Flatten", ["x"], ["f"], "flat"),
             cli.helper.make_node("Gemm", ["f", "w"], ["y"], "fc", transB=1)]
    (tmp_path / "n.onnx").write_bytes(cli.onnx_model(nodes, [weights], [1, 8, 8]))
    line = verify(tmp_path / "n.onnx", model, "-T", "0", code=1).stderr
    assert line.endswith("; its layers are not those of the ONNX file\n")
    cli.Net(channels=3).write(tmp_path / "rgb.onnx")
    assert cli.failed("verify", tmp_path / "rgb.onnx", model).endswith(
        "rgb.onnx: input: the ONNX file's is 3x8x8, the model's 1x8x8")
    cli.Net(classes=4).write(tmp_path / "four.onnx")
    assert cli.failed("verify", tmp_path / "four.onnx", model).endswith(
        "four.onnx: classes: the ONNX file gives 4 scores, the model 3")


def test_bad_files(small, model, tmp_path):
    ask = ["verify", small / "net.onnx", model, "--limit", "4", "-T", "0"]
    assert "absent.onnx: no such file" in cli.failed("verify", tmp_path / "absent.onnx", model)
    assert "absent: no such file" in cli.failed(*ask, "--data", tmp_path / "absent")
    assert "absent.npy: no such file" in cli.failed(*ask, "--scores", tmp_path / "absent.npy")
    cases = {"words.csv": (b"1,2,3\nfour,5,6\n", "line 2 holds what is no number"),
             "ragged.csv": (b"1,2,3\n4,5\n", "line 2 has 2 numbers, those before have 3"),
             "few.csv": (b"1,2,3\n", "it holds 1 rows and 3 numbers; 4 pictures of 3 scores are needed"),
             "cut.npy": (b"\x93NUMPY\x01\x00", "an .npy file of an unknown version, or cut short")}
    for name, (content, text) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert cli.failed(*ask, "--scores", tmp_path / name) == f"snn: {tmp_path / name}: {text}"
    np.save(tmp_path / "wide.npy", np.zeros((4, 7)))
    assert "it holds 4 rows and 28 numbers" in cli.failed(*ask, "--scores", tmp_path / "wide.npy")
    np.save(tmp_path / "nan.npy", np.full((4, 3), np.nan))
    answer = verify_json(*ask[1:], "--scores", tmp_path / "nan.npy", code=1)
    assert answer["scores"]["relative"] is None and not answer["ok"]
    done = cli.run(*ask, "--write-inputs", tmp_path / "absent/x.npy")
    assert done.returncode == 1 and "x.npy" in done.stderr


def test_arguments():
    assert cli.misused("verify") == "snn verify: an ONNX file and the model file made of it are needed"
    assert cli.misused("verify", "a.onnx") == "snn verify: an ONNX file and the model file made of it are needed"
    assert "'c' is a third one" in cli.misused("verify", "a.onnx", "b", "c")


NETWORKS = ["resnet20-padded-modern", "mobilenetv2-plain", "densenet", "vgg16-plain", "squeezenet", "splitnet-modern"]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_against_torch(name, tmp_path):
    """The way a user goes: inputs out, torch runs the ONNX file, its scores in."""
    folder = pathlib.Path(os.environ.get("ONNX_FIXTURES", cli.ROOT / "build/fixtures")) / "networks" / name
    if not folder.exists():
        pytest.skip("the networks are not made; `make unit` makes them")
    sys.path.insert(0, str(cli.ROOT / "tests/support"))
    import onnx_float

    made = onnx.load(folder / "model.onnx", load_external_data=False)
    image = made.graph.input[0]
    _, channels, size, _ = (d.dim_value for d in image.type.tensor_type.shape.dim)
    for node in made.graph.node:
        node.input[:] = ["x" if name == image.name else name for name in node.input]  # as onnx_float has it
    cli.write_flat(tmp_path / "data", cli.pictures(4, size, channels))
    model = tmp_path / "model.safetensors"
    cli.ok("convert", folder / "model.onnx", "-o", model, "--data", tmp_path / "data", "--threshold", "max")
    ask = [folder / "model.onnx", model, "--limit", "2", "--data", tmp_path / "data"]
    verify(*ask, "--write-inputs", tmp_path / "x.npy", "-T", "0")
    np.save(tmp_path / "y.npy", np.stack([onnx_float.run(made, folder, x).ravel() for x in np.load(tmp_path / "x.npy")]))
    answer = verify_json(*ask, "--scores", tmp_path / "y.npy", "-T", "512")
    assert answer["ok"] and answer["scores"]["relative"] < 1e-5 and answer["onnx"]["relative"] < 1e-5
    few, _, many = answer["spiking"]
    assert many["relative"] < few["relative"]
