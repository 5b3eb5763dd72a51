"""Seconds from exec to `ready` in the log, and VmRSS then: start.py PROGRAM MODELS [STARTS (6)]. The first start may find cold memory."""
import re
import statistics
import subprocess
import sys
import time

program, models, starts = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 6
seconds = []
for _ in range(starts):
    began = time.monotonic()
    daemon = subprocess.Popen([program, "--models", models, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    if not any(" ready " in line for line in daemon.stderr):
        sys.exit(f"{program} ended before it was ready")
    seconds.append(time.monotonic() - began)
    with open(f"/proc/{daemon.pid}/status") as status:
        resident = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    print(f"{seconds[-1]:.3f} s, {resident / 1024:.0f} MiB", flush=True)
    daemon.terminate()
    daemon.wait()
print(f"median {statistics.median(seconds):.3f} s")
