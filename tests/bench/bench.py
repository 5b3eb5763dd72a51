#!/usr/bin/python3
"""`make bench`: kernels, then whole networks at T = 1..128 with one thread and all; a table, and JSON in OUT.

    bench.py BUILD OUT.json [MODEL...]
"""
import json
import os
import subprocess
import sys

import tables

STEPS = "1,2,4,8,16,32,64,128"


def lines(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    build, out, *models = sys.argv[1:]
    result = {"kernels": [json.loads(line) for line in lines([f"{build}/bench/kernels"]).splitlines()], "networks": []}
    kernel_tables = list(dict.fromkeys(m["table"] for m in result["kernels"]))
    rows = {}
    for m in result["kernels"]:
        rows.setdefault((m["layer"], m["kernel"], m["rate"]), {})[m["table"]] = m
    print("Kernels, one thread: ps an accumulate (integrate_fire: a neuron), microseconds a step of the layer\n")
    print(tables.table(["layer", "kernel", "rate", *(f"{t} ps" for t in kernel_tables), *(f"{t} us" for t in kernel_tables)],
                       [[*key, *(f"{by[t]['ps_per_operation']:.0f}" for t in kernel_tables),
                         *(f"{by[t]['ns'] / 1000:.1f}" for t in kernel_tables)] for key, by in rows.items()]))
    threads = sorted({1, len(os.sched_getaffinity(0))})
    for model in models:
        for n in threads:
            for batch, steps in ((1, STEPS), (32, "8,32")):
                print(f"\n{model}, {n} thread{'s' * (n > 1)}, {batch} a call", flush=True)
                answer = json.loads(lines([f"{build}/snn", "bench", model, "-T", steps, "--threads", str(n), "--batch", str(batch),
                                           "--seconds", "1", "--json"]))
                result["networks"].append(answer)
                print(tables.table(["T", "median ms", "min ms", "images/s", "rate"],
                                   [[r["timesteps"], f"{r['median_ms']:.3f}", f"{r['min_ms']:.3f}", f"{r['images_per_second']:.1f}",
                                     f"{r['rate']:.4f}"] for r in answer["rows"]]))
    with open(out, "w") as f:
        json.dump(result, f, indent=1)
    print(f"\nAll of it: {out}")


if __name__ == "__main__":
    main()
