"""Fixtures of the `snn` tests: a tiny network as ONNX and converted, pictures for it."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cli_support as cli  # noqa: E402


@pytest.fixture(scope="session")
def net():
    return cli.Net()


@pytest.fixture(scope="session")
def small(tmp_path_factory, net):
    """A folder with net.onnx, 40 gray pictures in data/ and model.safetensors made of them, with labels a, b, c."""
    folder = tmp_path_factory.mktemp("small")
    net.write(folder / "net.onnx")
    cli.write_flat(folder / "data", cli.pictures(40))
    (folder / "labels.txt").write_text("a\nb\nc\n")
    cli.ok("convert", folder / "net.onnx", "-o", folder / "model.safetensors", "--data", folder / "data", "--labels",
           folder / "labels.txt", "--threshold", "max", "--name", "small", "-T", 12, "--mean", "0.25", "--std", "0.5")
    return folder


@pytest.fixture(scope="session")
def model(small):
    return small / "model.safetensors"


@pytest.fixture
def convert(small, tmp_path):
    """convert(options...) with small's ONNX and data unless the options name others: (metadata, tensors) of the result."""
    def go(*options, onnx=small / "net.onnx", data=small / "data", output=tmp_path / "model.safetensors", env=None):
        source = [] if data is None else ["--data", data]
        cli.ok("convert", onnx, "-o", output, *source, *options, env=env)
        return cli.open_model(output)
    return go
