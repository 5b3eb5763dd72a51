#!/usr/bin/env python3
"""Classify pictures with Triton's own HTTP client (pip install tritonclient[http]): ./triton.py PICTURE.png..."""
import os
import sys

import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(os.environ.get("URL", "http://127.0.0.1:8080").split("//")[1])
image = triton.InferInput("image", [len(sys.argv) - 1], "BYTES")  # encoded PNGs; FP32 and UINT8 [n, C, H, W] are taken too
image.set_data_from_numpy(np.array([open(path, "rb").read() for path in sys.argv[1:]], dtype=object))
answer = client.infer(os.environ.get("MODEL", "lenet-mnist"), [image], parameters={"timesteps": 8, "neuron": "if"})
for path, label, spikes in zip(sys.argv[1:], answer.as_numpy("label"), answer.as_numpy("spike_count")):
    print(path, label.decode(), f"{spikes.sum()} spikes")
