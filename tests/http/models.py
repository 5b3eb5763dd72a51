"""Small model files and PNGs for the HTTP tests, written without the project's own code: numpy, struct, zlib."""
import json
import struct
import zlib

import numpy as np


def safetensors(graph, tensors, metadata):
    header = {"__metadata__": {"spiked.format_version": "1", "spiked.graph": json.dumps(graph), **metadata}}
    data = b""
    for name, values in tensors.items():
        raw = np.asarray(values, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(np.shape(values)), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def network(channels, size, hidden, classes, depth=1, labels=None, seed=1, output=None):
    """`depth` 3x3 convolutions of `hidden` channels with neurons, then a classifier over the whole map."""
    rng = np.random.default_rng(seed)
    graph = [{"name": "image", "op": "input", "inputs": [], "shape": [channels, size, size]}]
    tensors, width = {}, channels
    for i in range(1, depth + 1):
        name = f"conv{i}"
        tensors[name + ".weight"] = rng.normal(0, (2 / (9 * width)) ** 0.5, (3, 3, width, hidden))
        tensors[name + ".bias"] = rng.normal(0, 0.1, hidden)
        tensors[name + ".threshold"] = [8.0]  # above every activation, so that rates can express them
        graph.append({"name": name, "op": "conv", "inputs": [len(graph) - 1], "kernel": [3, 3], "pads": [1, 1, 1, 1]})
        graph.append({"name": name, "op": "neuron", "inputs": [len(graph) - 1]})
        width = hidden
    tensors["out.weight"] = rng.normal(0, 0.1, (size, size, width, classes))
    tensors["out.bias"] = rng.normal(0, 0.1, classes)
    graph.append({"name": "out", "op": "conv", "inputs": [len(graph) - 1], "kernel": [size, size]})
    metadata = {
        "spiked.name": "test",
        "spiked.preprocess": json.dumps({"mean": [0.5] * channels, "std": [0.25] * channels, "background": 0}),
        "spiked.recommended": json.dumps({"timesteps": 12, "init": "half"}),
        "spiked.provenance": json.dumps({"source": "tests/http/models.py"}),
    }
    if output:
        metadata["spiked.readout"] = json.dumps({"threshold": output})
    if labels:
        metadata["spiked.labels"] = json.dumps(labels)
    return safetensors(graph, tensors, metadata)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels):
    """8-bit pixels [h][w] gray or [h][w][3] RGB."""
    pixels = np.asarray(pixels, dtype=np.uint8)
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bomb(width, height):
    """A PNG whose header promises many pixels and whose data has none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def picture(seed, size=8, channels=1):
    rng = np.random.default_rng(seed)
    return png(rng.integers(0, 256, (size, size) if channels == 1 else (size, size, channels)))
