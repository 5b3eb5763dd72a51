"""`make load`: what a daemon on this machine bears, client included. Prints tables in Markdown.

MODEL (models/lenet-mnist/model.safetensors), PICTURE (a sample of it), T (8), NEURON (the model's), SECONDS (5) a
measurement, THREADS (all) of the simulation, BRIEF=1: only the first two tables. Offered load is
an open loop with Poisson arrivals (tests/load/openloop.c); latencies count from the appointment. Client and server
share the machine: what the client takes, the server lacks."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/http"))
from conftest import Daemon  # noqa: E402

MODEL = pathlib.Path(os.environ.get("MODEL", ROOT / "models/lenet-mnist/model.safetensors"))
PICTURE = os.environ.get("PICTURE", str(ROOT / "models/lenet-mnist/samples/7.png"))
T, SECONDS = int(os.environ.get("T", 8)), float(os.environ.get("SECONDS", 5))
THREADS, NEURON = os.environ.get("THREADS", "0"), os.environ.get("NEURON")
PATH = f"/v1/models/m/classify?T={T}" + (f"&neuron={NEURON}" if NEURON else "")
OPENLOOP = os.environ.get("OPENLOOP_BIN", str(ROOT / "build/release/openloop"))
SNN = os.environ.get("SNN_BIN", str(ROOT / "build/release/snn"))


class Unread(Daemon):
    """Once it is ready its log is not read: a reader in Python would take what is measured. Lines are dropped then."""

    def read_log(self):
        for line in self.process.stderr:
            self.lines.append(line.decode().rstrip("\n"))
            if " ready " in self.lines[-1]:
                return


def load(d, *flags, seconds=SECONDS):
    out = subprocess.run([OPENLOOP, "--seconds", str(seconds), *map(str, flags), "--path", PATH, "--body", PICTURE,
                          f"127.0.0.1:{d.port}"], stdout=subprocess.PIPE, check=False).stdout
    return json.loads(out)


def bench(batch=1):
    """The library on the same picture."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(PICTURE, folder)
        flags = ([] if THREADS == "0" else ["--threads", THREADS]) + (["--neuron", NEURON] if NEURON else [])
        out = subprocess.run([SNN, "bench", str(MODEL), "-T", str(T), *flags, "--data", folder, "--batch", str(batch), "--seconds", "1", "--json"],
                             stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)["rows"][0]["images_per_second"]


def cpu_seconds(d):
    """Of every thread of the daemon."""
    of = {}
    for task in pathlib.Path(f"/proc/{d.process.pid}/task").iterdir():
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        of[task.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return of


def cost(d):
    """CPU time tells even on a busy machine what an answer costs, and what of it is not simulation."""
    for connections in (1, 16):
        before = cpu_seconds(d)
        n = load(d, "--connections", connections, "--requests", 1000)["answered_ms"]["n"]
        spent = sorted(t - before.get(task, 0) for task, t in cpu_seconds(d).items())
        print(f"CPU time of an answer, {connections} connections: {sum(spent) * 1e6 / n:.0f} us, busiest thread {spent[-1] * 1e6 / n:.0f} us")


def beside_the_library(d):
    """One picture at a time, and many at once, by turns; the middle one of three pairs."""
    print("| pictures at once | daemon images/s | `snn bench` images/s | ratio | p50 ms | p50 beside simulating |\n|---|---|---|---|---|---|")
    for at_once in (1, 16):
        pairs = []
        for _ in range(3):
            library = bench(at_once)
            r = load(d, "--connections", at_once, seconds=2)
            pairs.append((r["answered_per_s"] / library, r, library))
        ratio, r, library = sorted(pairs, key=lambda p: p[0])[1]
        print(f"| {at_once} | {r['answered_per_s']:.0f} | {library:.0f} | {ratio:.2f} | {r['answered_ms']['p50']:.2f} | "
              f"{r['beside_simulate_ms']['p50']:.2f} |", flush=True)
    print()


def offered(d):
    capacity = max(load(d, "--connections", c)["answered_per_s"] for c in (16, 64))
    print(f"Closed loop, 16 and 64 connections: {capacity:.0f} images/s at most\n")
    print("| offered | of capacity | answered | p50 | p99 | p99.9 ms | refused | p99 ms | failed | CPUs the generator took |\n"
          "|---|---|---|---|---|---|---|---|---|---|")
    goodput = {}
    for times in (0.25, 0.5, 0.8, 1, 2, 5, 10):
        r = load(d, "--rate", times * capacity, "--connections", 1000, *["--connect-first"] * (times > 1))
        a, f = r["answered_ms"], r["refused_ms"]
        goodput[times] = r["answered_per_s"]
        print(f"| {times * capacity:.0f}/s | {times} | {r['answered_per_s']:.0f}/s | {a['p50']:.1f} | {a['p99']:.1f} | {a['p999']:.1f} | "
              f"{f['n'] / r['seconds']:.0f}/s | {f['p99']:.1f} | {r['failed'] + r['other_status']} | {r['generator_cpu_s'] / r['seconds']:.2f} |",
              flush=True)
    print(f"\nGoodput at ten times capacity: {goodput[10] / max(goodput.values()):.2f} of its peak\n")
    return capacity


def slow(d, capacity):
    """The slow ones come from a process of their own, so that it shows what it takes from the two CPUs. Three pairs."""
    rate, pairs = capacity / 2, []
    for _ in range(3):
        without = load(d, "--rate", rate, "--connections", 64)
        before = sum(cpu_seconds(d).values())
        driver = subprocess.Popen([OPENLOOP, "--connections", "0", "--slow", "1000", "--seconds", str(2 * SECONDS + 3), f"127.0.0.1:{d.port}"],
                                  stdout=subprocess.PIPE)
        time.sleep(2.5)  # until each has its connection
        beside = load(d, "--rate", rate, "--connections", 64, seconds=2 * SECONDS)
        driven = json.loads(driver.communicate()[0])
        spent = sum(cpu_seconds(d).values()) - before
        pairs.append((beside["answered_ms"]["p99"] / without["answered_ms"]["p99"], without, beside, driven, spent))
    ratio, without, beside, driven, spent = sorted(pairs, key=lambda p: p[0])[1]
    n, n_alone = beside["answered_ms"]["n"], without["answered_ms"]["n"]
    print(f"At {rate:.0f}/s: p99 {without['answered_ms']['p99']:.1f} ms alone, {beside['answered_ms']['p99']:.1f} ms beside 1,000 connections that "
          f"send a header a byte every two seconds: {ratio:.2f} times, of {', '.join(f'{p[0]:.2f}' for p in pairs)}; p50 "
          f"{without['answered_ms']['p50']:.2f} and {beside['answered_ms']['p50']:.2f} ms; {driven['slow_evicted']} evictions, {beside['failed']} of "
          f"{n} good requests failed ({n_alone} alone). Their driver took {driven['generator_cpu_s'] / driven['seconds']:.3f} CPUs, "
          f"the daemon {spent / driven['seconds']:.2f}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "m").mkdir()
        (pathlib.Path(folder) / "m" / "model.safetensors").write_bytes(MODEL.read_bytes())
        with Unread(folder, "--threads", THREADS) as d:
            print(f"{MODEL.parent.name}, T={T}, neuron {NEURON or 'as recommended'}, {os.cpu_count()} CPUs ({THREADS} threads, 0: all) shared by client and server")
            cost(d)
            beside_the_library(d)
            if not os.environ.get("BRIEF"):
                slow(d, offered(d))


main()
