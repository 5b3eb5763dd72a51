#!/usr/bin/python3
"""`make bench-peers`: our spiking network beside its source network in ONNX Runtime and a PyTorch spiking loop, in one run.

    peers.py --driver BUILD/bench/driver --onnx NETWORK.onnx --model MODEL.safetensors --data PICTURES [options]

All contenders are started once a thread count and take turns: in every round each of them simulates the same pictures, so
that what disturbs the machine disturbs all. A turn's time is the median of its calls; ratios are those of one round, and
their median, smallest and largest are shown. On a machine that is busy with other work the clock tells little, long calls
being interrupted more; with --by cpu ratios are those of processor time, all threads together. Before anything is timed the answers are compared: the PyTorch loop's spikes
with ours in float32, ONNX Runtime's scores with our float network's.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import tables

HERE = pathlib.Path(__file__).parent
REST = 0.03  # seconds between turns: ONNX Runtime's threads spin a while after a call


class Contender:
    """A process that answers one line a command."""

    def __init__(self, *command, **environment):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_WAIT_POLICY": "passive", **environment})
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{command[0]} {command[1]}: did not start")

    def ask(self, *command):
        self.process.stdin.write(" ".join(map(str, command)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def start(a, threads, inputs):
    ours = Contender(a.driver, a.model, a.data, a.images, threads, inputs)  # writes the inputs the others read
    peers = {"ours": ours}
    if not a.no_ort:
        peers["ort"] = Contender("node", HERE / "ort.js", a.onnx, inputs, a.images, threads)
    if not a.no_torch:
        peers["torch"] = Contender(sys.executable, HERE / "torch_loop.py", a.model, inputs, a.images, threads)
    return peers


def floats(text):
    return [float(x) for x in text.split()]


def compare(a, peers):
    """How far the contenders' answers are apart; spikes are counted, not only summed, a layer at a time."""
    found = {}
    if "ort" in peers:
        found["largest_score_difference"] = max(
            abs(x - y) for i in range(a.images)
            for x, y in zip(floats(peers["ours"].ask("scores", 0, i)), floats(peers["ort"].ask("scores", i))))
    if "torch" in peers:
        total = off = layers = same = 0
        for steps in a.timesteps:
            for i in range(min(a.images, a.check)):
                ours, theirs = (floats(peers[p].ask("spikes", steps, i)) for p in ("ours", "torch"))
                assert len(ours) == len(theirs), "not the same layers"
                fired = [(x, y) for x, y in zip(ours, theirs) if x or y]
                total += int(sum(ours))
                off += int(sum(abs(x - y) for x, y in fired))
                layers += len(fired)
                same += sum(x == y for x, y in fired)
        found["spikes"] = {"ours": total, "differ": off, "layers_compared": layers, "layers_equal": same}
    return found


def contenders(a, peers):
    """{name: (process, command)} where the command lacks the pictures; names of ours and the loop carry their T."""
    out = {}
    if "ort" in peers:
        out["ONNX Runtime, float"] = (peers["ort"], ["run"])
    for steps in a.timesteps:
        for neuron, precision in (("if", "float32"), ("if", "int8"), ("asg", "float32"), ("asg", "int8")):
            if peers["ours"].ask("run", neuron, precision, steps, 0, a.batch)[0].isdigit():
                out[f"spiked {neuron} {precision}, T={steps}"] = (peers["ours"], ["run", neuron, precision, steps])
        if "torch" in peers:
            out[f"PyTorch loop, T={steps}"] = (peers["torch"], ["run", steps])
    return out


def turn(a, process, command, calls):
    """Milliseconds a call, median: {"wall", "cpu"}."""
    times = [process.ask(*command, (k * a.batch) % (a.images - a.batch + 1), a.batch).split() for k in range(calls)]
    return {by: statistics.median(int(t[i]) for t in times) / 1e6 for i, by in enumerate(("wall", "cpu"))}


def measure(a, threads):
    with tempfile.TemporaryDirectory() as folder:
        peers = start(a, threads, os.path.join(folder, "inputs"))
        agreement = compare(a, peers)
        names = contenders(a, peers)
        calls = {}
        for name, (process, command) in names.items():  # warms up; long calls get fewer a turn
            turn(a, process, command, 1)
            calls[name] = max(1, min(a.calls, int(200 / turn(a, process, command, 1)["wall"])))
        rounds = []
        for r in range(a.rounds):
            order = list(names)
            shift = r * 5 % len(order)  # nobody always follows the same neighbour
            rounds.append({})
            for name in order[shift:] + order[:shift]:
                time.sleep(REST)
                rounds[-1][name] = turn(a, *names[name], calls[name])
            print(f"  round {r + 1} of {a.rounds}", end="\r", file=sys.stderr, flush=True)
        for p in peers.values():
            p.close()
    return {"threads": threads, "agreement": agreement, "calls": calls, "rounds": rounds}


def show(a, m):
    print(f"\n{m['threads']} thread{'s' * (m['threads'] > 1)}, {a.batch} picture{'s' * (a.batch > 1)} a call, "
          f"{len(m['rounds'])} rounds; ratios by {'the clock' if a.by == 'wall' else 'processor time'}: median (smallest .. largest) of the rounds\n")
    rows, rounds = [], [{name: t[a.by] for name, t in r.items()} for r in m["rounds"]]
    for name in m["rounds"][0]:
        steps = name.rpartition("T=")[2]
        loop = f"PyTorch loop, T={steps}"
        rows.append([name, *(f"{statistics.median(r[name][by] for r in m['rounds']):.3f}" for by in ("wall", "cpu")),
                     tables.spread(tables.ratios(rounds, name, "ONNX Runtime, float")) if "T=" in name else "1",
                     tables.spread(tables.ratios(rounds, loop, name)) if name != loop and "T=" in name else "-"])
    print(tables.table(["", "ms a call", "ms of processors", "of ONNX Runtime's time", "times faster than the loop"], rows))
    spikes, score = m["agreement"].get("spikes"), m["agreement"].get("largest_score_difference")
    if spikes:
        print(f"\nPyTorch loop and ours in float32: {spikes['differ']} of {spikes['ours']} spikes differ, "
              f"{spikes['layers_equal']} of {spikes['layers_compared']} layers have equally many")
    if score is not None:
        print(f"ONNX Runtime and our float network: scores differ by at most {score:.2g}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--driver", required=True)
    p.add_argument("--onnx", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True, help="pictures, as snn reads them")
    p.add_argument("--threads", default="1,2", type=lambda t: [int(x) for x in t.split(",")])
    p.add_argument("--timesteps", default="4,8,32", type=lambda t: [int(x) for x in t.split(",")])
    p.add_argument("--rounds", default=9, type=int)
    p.add_argument("--calls", default=8, type=int, help="a turn, at most (default %(default)s)")
    p.add_argument("--images", default=10, type=int)
    p.add_argument("--batch", default=1, type=int)
    p.add_argument("--check", default=3, type=int, help="pictures whose spikes are compared (default %(default)s)")
    p.add_argument("--tolerance", default=1e-3, type=float,
                   help="share of spikes that may differ: sums in another order round otherwise (default %(default)s)")
    p.add_argument("--by", choices=("wall", "cpu"), default="wall", help="what ratios are of (default %(default)s)")
    p.add_argument("--no-ort", action="store_true")
    p.add_argument("--no-torch", action="store_true")
    p.add_argument("--out", help="JSON with the times of every round")
    a = p.parse_args()
    if a.images < a.batch:
        p.error("--images: fewer than a batch")
    measured = []
    for threads in a.threads:
        measured.append(measure(a, threads))
        show(a, measured[-1])
    if a.out:
        pathlib.Path(a.out).write_text(json.dumps({"onnx": a.onnx, "model": a.model, "measured": measured}, indent=1) + "\n")
        print(f"\nAll of it: {a.out}")
    for m in measured:
        spikes = m["agreement"].get("spikes")
        if spikes and spikes["differ"] > a.tolerance * spikes["ours"]:
            sys.exit("peers.py: the PyTorch loop does not simulate the same network")
        if m["agreement"].get("largest_score_difference", 0) > 1e-2:
            sys.exit("peers.py: the ONNX file is not the network this model was converted from")


if __name__ == "__main__":
    main()
