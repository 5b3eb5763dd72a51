"""`make failover`: REQUESTS (100000) through HAProxy at RATE (1000) a second to three replicas, one of which is restarted
or killed every PERIOD (5) seconds, in turn. Exit code 1 when a client saw anything but its answer."""
import itertools
import json
import os
import pathlib
import sys
import tempfile
import time

HTTP = pathlib.Path(__file__).resolve().parents[1] / "http"
sys.path.insert(0, str(HTTP))
import models as make  # noqa: E402
from replicas import HAPROXY, Client, Replicas, wait_served  # noqa: E402


def main():
    if not HAPROXY:
        sys.exit("failover: haproxy is not installed")
    requests, rate, period = (int(os.environ.get(k, v)) for k, v in
                              (("REQUESTS", 100000), ("RATE", 1000), ("PERIOD", 5)))
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "tiny" / "model.safetensors"
        model.parent.mkdir()
        model.write_bytes(make.network(1, 8, 6, 3))
        with Replicas(folder) as replicas:
            wait_served(replicas.port)
            client = Client(replicas.port, "--connections", "64", "--rate", str(rate), "--requests", str(requests))
            done = {"restarts": 0, "kills": 0}
            for i in itertools.count():
                time.sleep(period)
                if not client.running():
                    break
                if i % 2:
                    replicas.restart(i % 3)
                    done["restarts"] += 1
                else:
                    replicas.kill(i % 3)
                    done["kills"] += 1
            client.join()
    r = client.report
    print(json.dumps({**done, **r}))
    sys.exit(0 if r["answered_ms"]["n"] == r["requests"] == requests else 1)


main()
