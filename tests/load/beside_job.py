"""`make load-job`: what a calibration job costs those who ask meanwhile. Prints a table in Markdown.

MODELS (lenet-mnist,vgg16-cifar10) of models/, T (8) of the requests, DATA a folder of class folders to calibrate from (more
than one, comma-separated, in the order of MODELS; without it noise: the same work, a meaningless result), PICTURES (200) of
them, SECONDS (6) a measurement, ROUNDS (5) of each, of which medians are told, SHARES (0.1,0.3,0.5) of capacity to offer, THREADS (all), TIMESTEPS (8) of the job.
Public requests come in an open loop with Poisson arrivals (tests/load/openloop.c), by turns without a job and with jobs one
after another; latencies count from the appointment. Client, daemon and job share the machine."""
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/http"))
import models as make  # noqa: E402
from conftest import Daemon  # noqa: E402

MODELS = os.environ.get("MODELS", "lenet-mnist,vgg16-cifar10").split(",")
DATA = [d for d in os.environ.get("DATA", "").split(",") if d]
PICTURES, T = int(os.environ.get("PICTURES", 200)), int(os.environ.get("T", 8))
SECONDS, ROUNDS = float(os.environ.get("SECONDS", 6)), int(os.environ.get("ROUNDS", 5))
SHARES = [float(x) for x in os.environ.get("SHARES", "0.1,0.3,0.5").split(",")]
TIMESTEPS = [int(t) for t in os.environ.get("TIMESTEPS", "8").split(",")]
OPENLOOP = os.environ.get("OPENLOOP_BIN", str(ROOT / "build/release/openloop"))


def load(d, model, picture, *flags, seconds=SECONDS):
    out = subprocess.run([OPENLOOP, "--seconds", str(seconds), *map(str, flags), "--path", f"/v1/models/{model}/classify?T={T}",
                          "--body", picture, f"127.0.0.1:{d.port}"], stdout=subprocess.PIPE, check=False).stdout
    return json.loads(out)


def pictures_of(i, d, model):
    """Name and bytes of each."""
    if i < len(DATA):
        folder = pathlib.Path(DATA[i])
        files = sorted(folder.glob("*/*.png"))
        return [(str(f.relative_to(folder)), f.read_bytes()) for f in files[::max(1, len(files) // PICTURES)][:PICTURES]]
    about = d.model(model)["input"]
    rng = np.random.default_rng(1)
    size = about["height"], about["width"], *([3] if about["channels"] == 3 else [])
    return [(f"{k}.png", make.png(rng.integers(0, 256, size))) for k in range(PICTURES)]


class Jobs(threading.Thread):
    """One job after another until it is told to stop; `ended` are those that ended by themselves."""

    def __init__(self, d, model, pictures):
        super().__init__()
        self.d, self.enough, self.ended = d, False, []
        self.path = f"/v1/models/{model}/calibrations"
        parts = [("image", p) for p in pictures]
        parts.append(("options", (None, json.dumps({"timesteps": TIMESTEPS, "activate": False}))))
        request = requests.Request("POST", d.url, files=parts).prepare()
        self.body, self.kind = request.body, request.headers["Content-Type"]
        self.start()

    def ask(self, method, path, body=None):
        admin = http.client.HTTPConnection(self.d.admin_address)
        admin.request(method, path, body, {"Authorization": "Bearer " + self.d.TOKEN, "Content-Type": self.kind})
        answer = json.loads(admin.getresponse().read())
        admin.close()
        return answer

    def run(self):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # an operator's client would be on another machine
        while not self.enough:
            begun = time.monotonic()
            job = self.ask("POST", self.path, self.body)
            while job["state"] in ("queued", "running"):
                if self.enough:
                    self.ask("DELETE", "/v1/jobs/" + job["id"])
                time.sleep(0.5)
                job = self.ask("GET", "/v1/jobs/" + job["id"])
            if job["state"] == "succeeded":
                self.ended.append(time.monotonic() - begun)

    def stop(self):
        self.enough = True
        self.join()


class Server(Daemon):
    def model(self, name):
        return requests.get(f"{self.url}/v1/models/{name}", timeout=10).json()


def measure(i, model, folder):
    state = folder / "state"
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / model).symlink_to(ROOT / "models" / model)
    with Server(folder / "models", "--state", str(state), "--threads", os.environ.get("THREADS", "0"),
                token_file=folder / "token") as d:
        pictures = pictures_of(i, d, model)
        picture = folder / "picture.png"
        picture.write_bytes(pictures[0][1])
        capacity = load(d, model, picture, "--connections", 4, seconds=3)["answered_per_s"]
        for share in SHARES:
            p99, p50, rate = ([], []), ([], []), share * capacity
            ended = []
            for turn in range(2 * ROUNDS):
                beside = turn % 2
                jobs = Jobs(d, model, pictures) if beside else None
                if jobs:
                    time.sleep(0.5)  # it has begun
                a = load(d, model, picture, "--rate", rate, "--connections", 256)["answered_ms"]
                if jobs:
                    jobs.stop()
                    ended += jobs.ended
                p99[beside].append(a["p99"])
                p50[beside].append(a["p50"])
            middle = [statistics.median(x) for x in (*p50, *p99)]
            took = f"{sum(ended) / len(ended):.1f}" if ended else "none ended"
            print(f"| {model} | {rate:.0f}/s | {share} | {middle[0]:.1f}, {middle[1]:.1f} | {middle[2]:.1f}, {middle[3]:.1f} | "
                  f"{middle[3] / middle[2]:.2f} | {took} |", flush=True)
    (folder / "models" / model).unlink()


def main():
    print(f"T={T}, {os.cpu_count()} CPUs shared by client, daemon and job; {PICTURES} pictures a job, {SECONDS:g} s a measurement, "
          f"{ROUNDS} of each by turns\n")
    print("| model | offered | of capacity | p50 ms without, with | p99 ms without, with | ratio of p99 | a job took, s |\n"
          "|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for i, model in enumerate(MODELS):
            measure(i, model, pathlib.Path(folder))


main()
