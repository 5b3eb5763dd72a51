"""Reading a model file with numpy, as core/model/README.md describes it. F32 and F16 tensors."""
import json
import struct

import numpy as np


def read_model(path):
    """(metadata, graph, tensors) of a model file."""
    with open(path, "rb") as f:
        raw = f.read()
    (n,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + n])
    meta = header.pop("__metadata__")
    types = {"F32": "<f4", "F16": "<f2"}
    tensors = {}
    for name, t in header.items():
        if t["dtype"] not in types:
            raise SystemExit(f"{path}: {name} is {t['dtype']}; this script reads F32 and F16")
        begin, end = t["data_offsets"]
        tensors[name] = np.frombuffer(raw[8 + n + begin:8 + n + end], types[t["dtype"]]).reshape(t["shape"]).astype(np.float32)
    return meta, json.loads(meta["spiked.graph"]), tensors
