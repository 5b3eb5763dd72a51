"""`make recalibrate`: what a job with few pictures wins back on pictures that nobody held out for it. Prints a table.

MODEL (models/vgg16-cifar10/model.safetensors), DATA a folder of class folders of training pictures, TEST the same of test
pictures, PICTURES (200) of DATA, evenly from every class, T (8), METHOD (matched), LIMIT (all) of TEST. The daemon gets the
pictures as an operator's, runs the job on all processors (JOB_THREADS) and activates; then every test picture goes through
POST classify with init=zero, with what the model file itself recommends (calibration=none) and with the calibration."""
import concurrent.futures
import json
import os
import pathlib
import sys
import tempfile
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/http"))
from conftest import Daemon  # noqa: E402

MODEL = pathlib.Path(os.environ.get("MODEL", ROOT / "models/vgg16-cifar10/model.safetensors"))
PICTURES, T = int(os.environ.get("PICTURES", 200)), int(os.environ.get("T", 8))
METHOD, LIMIT = os.environ.get("METHOD", "matched"), int(os.environ.get("LIMIT", 0))
GROUP = 16


def pictures(folder, n):
    """(path, label) of n in all, evenly from every class; 0: all."""
    classes = [sorted(c.glob("*.png")) for c in sorted(pathlib.Path(folder).iterdir()) if c.is_dir()]
    each = -(-n // len(classes)) if n else None
    return [(f, f.parent.name) for c in classes for f in c[:each]]


def run_job(d, model):
    files = [("image", (f"{label}/{f.name}", f.read_bytes())) for f, label in pictures(os.environ["DATA"], PICTURES)]
    options = {"method": METHOD, "timesteps": [T], "min_gain": -100, **json.loads(os.environ.get("OPTIONS", "{}"))}
    begun = time.monotonic()
    r = d.admin("POST", f"/v1/models/{model}/calibrations", files=[*files, ("options", (None, json.dumps(options)))])
    assert r.status_code == 202, r.text
    while (job := d.admin("GET", r.headers["Location"]).json())["state"] in ("queued", "running"):
        time.sleep(0.1)
    assert job["state"] == "succeeded", job
    result, row = job["result"], job["result"]["timesteps"][0]
    print(f"{result['pictures']['calibrated_with']} pictures to calibrate with, {result['pictures']['held_out']} held out: "
          f"{row['before']['accuracy']:.1f} -> {row['after']['accuracy']:.1f} % there, gain {row['gain']['points']:.1f} points "
          f"(95 %: {row['gain']['interval_95'][0]:.1f} to {row['gain']['interval_95'][1]:.1f}); before: {row['before']['init']} in "
          f"{row['before']['precision']}, after: {row['after']['init']} in {row['after']['precision']}; the job took {time.monotonic() - begun:.1f} s\n")


def classify(d, model, test, options):
    """Right answers, right answers of the float network, and milliseconds a picture, of all test pictures."""
    labels = requests.get(f"{d.url}/v1/models/{model}", timeout=10).json()["labels"]

    def one(group):
        r = requests.post(f"{d.url}/v1/models/{model}/classify", params=options, timeout=120,
                          files=[("image", (f.name, f.read_bytes(), "image/png")) for f, _ in group])
        assert r.status_code == 200, r.text
        r = r.json()
        index = [labels.index(label) if label in labels else int(label) for _, label in group]
        return ([a["class"]["index"] == k for a, k in zip(r["results"], index)],
                [a.get("reference", {}).get("class", {}).get("index") == k for a, k in zip(r["results"], index)], r)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(one, [test[i:i + GROUP] for i in range(0, len(test), GROUP)]))
    last = answers[-1][2]
    return sum(sum(a) for a, _, _ in answers), sum(sum(b) for _, b, _ in answers), last


def main():
    if not (os.environ.get("DATA") and os.environ.get("TEST")):
        sys.exit("DATA and TEST name folders of class folders of PNGs")
    model, test = MODEL.parent.name, pictures(os.environ["TEST"], LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "models" / model).mkdir(parents=True)
        (folder / "models" / model / "model.safetensors").symlink_to(MODEL.resolve())
        flags = ("--state", str(folder / "state"), "--job-nice", "0", "--job-threads", os.environ.get("JOB_THREADS", str(os.cpu_count())))
        with Daemon(folder / "models", *flags, token_file=folder / "token") as d:
            print(f"{model}, T = {T}, method {METHOD}, {len(test)} test pictures\n")
            run_job(d, model)
            n, rows = len(test), []
            for name, options in (("init=zero", {"init": "zero"}), ("init=half", {"init": "half"}),
                                  ("the model's own", {"calibration": "none"}), ("the calibration", {})):
                want = {"reference": "true"} if not rows else {}
                right, float_right, answer = classify(d, model, test, {"T": T, **options, **want})
                rows.append((name, 100 * right / n, answer))
                if want:
                    exact = 100 * float_right / n
            zero = rows[0][1]
            print(f"| started from | accuracy, % | won back of what init=zero loses | init | table | precision |\n|---|---|---|---|---|---|\n"
                  f"| float network | {exact:.2f} | | | | |")
            for name, accuracy, answer in rows:
                back = f"{100 * (accuracy - zero) / (exact - zero):.1f} %" if exact > zero else ""
                print(f"| {name} | {accuracy:.2f} | {back} | {answer['init']} | {json.dumps(answer.get('table'))} | {answer['precision']} |")


main()
