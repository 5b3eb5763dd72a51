"""What the tests of `snn` share: running it, small ONNX networks, data sets in every format, and numpy's own forward pass.

Independent of the project's code: models are opened as the safetensors format says, with json and numpy."""
import json
import os
import pathlib
import re
import struct
import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
SNN = os.environ.get("SNN_BIN", str(ROOT / "build/release/snn"))
LENET = ROOT / "models/lenet-mnist"


# ---- running ----


def run(*arguments, env=None, stdout=subprocess.PIPE):
    environment = {k: v for k, v in os.environ.items() if k not in ("SPIKED_KERNELS", "OMP_NUM_THREADS")}
    environment.update(env or {})
    done = subprocess.run([SNN, *map(str, arguments)], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120,
                          env=environment, check=False)
    # MODE=cov: the first run after a rebuild says that it replaces older counts.
    done.stderr = re.sub(r"^libgcov profiling error:.*\n", "", done.stderr, flags=re.M)
    return done


def ok(*arguments, **options):
    """Its standard output; it must succeed and, standard error being no terminal, say nothing there."""
    done = run(*arguments, **options)
    assert (done.returncode, done.stderr) == (0, ""), f"exit {done.returncode}: {done.stderr}"
    return done.stdout


def ok_json(*arguments, **options):
    """Its standard output as JSON; NaN and Infinity, which Python would take, are none."""
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(ok(*arguments, **options), parse_constant=refuse)


def failed(*arguments, **options):
    """The one line it says when it fails: exit 1, nothing on standard output."""
    done = run(*arguments, **options)
    assert done.returncode == 1, f"exit {done.returncode}: {done.stderr}"
    assert done.stdout == ""
    assert done.stderr.startswith("snn: ") and done.stderr.endswith("\n") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.rstrip("\n")


def misused(*arguments):
    """The first line it says about wrong arguments: exit 2, nothing on standard output."""
    done = run(*arguments)
    assert done.returncode == 2, f"exit {done.returncode}: {done.stderr}"
    assert done.stdout == ""
    return done.stderr.splitlines()[0]


# ---- models ----


def open_model(path):
    """(metadata with its JSON texts read, tensors) of a safetensors file."""
    raw = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + n])
    meta = header.pop("__metadata__")
    types = {"F32": "<f4", "F16": "<f2", "I8": "i1"}
    tensors = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        tensors[name] = np.frombuffer(raw[8 + n + begin:8 + n + end], types[t["dtype"]]).reshape(t["shape"])
    for key in ("graph", "preprocess", "labels", "recommended", "provenance"):
        if f"spiked.{key}" in meta:
            meta[f"spiked.{key}"] = json.loads(meta[f"spiked.{key}"])
    return meta, tensors


class Net:
    """conv 3x3 (4 maps) - relu - mean of 2x2 - fully connected (6) - relu - fully connected (classes).

    Weights are eighths, so that pictures of 0 and 1 give activations without rounding in any order of summation."""

    def __init__(self, channels=1, size=8, classes=3, clip=None, seed=1):
        rng = np.random.default_rng(seed)
        flat = 4 * (size // 2) ** 2
        self.channels, self.size, self.classes, self.clip = channels, size, classes, clip
        self.conv = rng.integers(-8, 9, (4, channels, 3, 3)) / 8
        self.conv_bias = rng.integers(-2, 5, 4) / 8
        self.fc = rng.integers(-8, 9, (6, flat)) / 8 / (1 << (size // 8))
        self.fc_bias = rng.integers(-2, 5, 6) / 8
        self.out = rng.integers(-8, 9, (classes, 6)) / 8
        self.out_bias = rng.integers(-4, 5, classes) / 8

    def weights(self):
        return {"conv": self.conv, "conv_bias": self.conv_bias, "fc": self.fc, "fc_bias": self.fc_bias, "out": self.out,
                "out_bias": self.out_bias}

    def onnx(self):
        tensors = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in self.weights().items()]
        if self.clip is not None:
            tensors += [numpy_helper.from_array(np.float32(v), k) for k, v in (("low", 0), ("high", self.clip))]
        act = ("Clip", ["low", "high"]) if self.clip is not None else ("Relu", [])

        def node(op, inputs, output, name, **attributes):
            return helper.make_node(op, inputs, [output], name, **attributes)

        nodes = [node("Conv", ["x", "conv", "conv_bias"], "a", "conv1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
                 node(act[0], ["a", *act[1]], "b", "relu1"),
                 node("AveragePool", ["b"], "c", "pool", kernel_shape=[2, 2], strides=[2, 2]),
                 node("Flatten", ["c"], "d", "flat"), node("Gemm", ["d", "fc", "fc_bias"], "e", "fc1", transB=1),
                 node(act[0], ["e", *act[1]], "f", "relu2"),
                 node("Gemm", ["f", "out", "out_bias"], "y", "fc2", transB=1)]
        return onnx_model(nodes, tensors, [self.channels, self.size, self.size])

    def write(self, path):
        pathlib.Path(path).write_bytes(self.onnx())
        return path

    def forward(self, pixels, mean=0.0, std=1.0):
        """Activations {layer: [n, channels, positions]} and scores [n, classes] of pixels [n][h][w][c], in double."""
        x = (np.asarray(pixels, np.float64) / 255 - np.asarray(mean)) / np.asarray(std)
        x = np.pad(x.reshape(len(x), self.size, self.size, self.channels).transpose(0, 3, 1, 2),
                   ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
        a = np.einsum("nchwij,ocij->nohw", windows, self.conv) + self.conv_bias[:, None, None]
        a = np.clip(a, 0, self.clip)
        n, half = len(x), self.size // 2
        pooled = a.reshape(n, 4, half, 2, half, 2).mean((3, 5))
        b = np.clip(pooled.reshape(n, -1) @ self.fc.T + self.fc_bias, 0, self.clip)
        return {"conv1": a.reshape(n, 4, -1), "fc1": b[:, :, None]}, b @ self.out.T + self.out_bias


def onnx_model(nodes, tensors, shape):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "classes"])], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 7
    onnx.checker.check_model(made)
    return made.SerializeToString()


# ---- pictures ----


def pictures(n, size=8, channels=1, levels=256, seed=5):
    """[n][h][w] or [n][h][w][3] bytes; levels=2: only 0 and 255."""
    shape = (n, size, size) if channels == 1 else (n, size, size, channels)
    return (np.random.default_rng(seed).integers(0, levels, shape) * (255 // (levels - 1))).astype(np.uint8)


def write_flat(folder, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03}.png" for i in range(len(pixels))]
    for path, p in zip(paths, pixels):
        Image.fromarray(p).save(path)
    return paths


def write_classes(folder, pixels, labels, names):
    """Class folders; the paths in the order of `pixels`."""
    paths = []
    for i, (p, label) in enumerate(zip(pixels, labels)):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        paths.append(folder / names[label] / f"{i:03}.png")
        Image.fromarray(p).save(paths[-1])
    return paths


def write_cifar(path, pixels, labels):
    path.write_bytes(b"".join(bytes([label]) + p.transpose(2, 0, 1).tobytes() for label, p in zip(labels, pixels)))
    return path


def write_idx(folder, pixels, labels=None):
    """…images-idx3-ubyte (idx4 for RGB) and, with labels, …labels-idx1-ubyte beside it; the path of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    planes = pixels if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    path = folder / f"t-images-idx{planes.ndim}-ubyte"
    header = struct.pack(f">BBBB{planes.ndim}I", 0, 0, 8, planes.ndim, *planes.shape)
    path.write_bytes(header + planes.tobytes())
    if labels is not None:
        (folder / "t-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, len(labels)) + bytes(labels))
    return path
