#!/usr/bin/env python3
"""Classify pictures from Python with requests: ./classify.py PICTURE.png..."""
import os
import sys

import requests

URL = os.environ.get("URL", "http://127.0.0.1:8080")
MODEL = os.environ.get("MODEL", "lenet-mnist")

with requests.Session() as session:  # keeps the connection
    for path in sys.argv[1:]:
        with open(path, "rb") as picture:
            reply = session.post(f"{URL}/v1/models/{MODEL}/classify", data=picture.read(), timeout=30,
                                 params={"timesteps": 8, "neuron": "if"}, headers={"Content-Type": "image/png"})
        if not reply.ok:
            sys.exit(f"{path}: {reply.json()['detail']}")
        best = reply.json()["results"][0]["class"]
        print(path, best["label"], round(best["probability"], 4))
