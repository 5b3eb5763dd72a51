"""Every example runs as it stands and says what its head promises."""
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
import requests

from client_support import ROOT, http

EXAMPLES = ROOT / "clients/examples"
SAMPLES = ROOT / "models/lenet-mnist/samples"
OF_PAGES = {"/web/{file}", "/console/{file}"}  # what the web pages themselves are made of


def run(server, script, *arguments, status=0):
    admin = {"ADMIN": f"http://{server.admin_address}", "TOKEN": server.TOKEN} if hasattr(server, "admin_address") else {}
    done = subprocess.run([EXAMPLES / script, *map(str, arguments)], capture_output=True, text=True, timeout=180, check=False,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "URL": server.url, **admin})
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("script,arguments,expected", [
    ("classify.sh", [SAMPLES / "3.png"], r"3 0\.9\d* with \d+ spikes"),
    ("classify-many.sh", [SAMPLES / "1.png", SAMPLES / "2.png"], r'(?s)\{"1":.*\n\{"2":'),
    ("classify-json.sh", [SAMPLES / "5.png"], r'"timesteps":16,"neuron":"if","class":\{"index":5'),
    ("layers.sh", [SAMPLES / "7.png"], r"(?s)conv1\t\d+ spikes.*spiking: 7, float: 7"),
    ("models.sh", [], r"lenet-mnist"),
    ("models.sh", ["lenet-mnist"], r'(?s)"variants".*"defaults"'),
    ("status.sh", [], r'"state":"ready"'),
    ("refused.sh", [SAMPLES / "1.png"], r"400: timesteps: expected"),
    ("classify.py", [SAMPLES / "8.png", SAMPLES / "0.png"], r"(?s)8\.png 8 0\.\d+.*0\.png 0 "),
    ("classify.mjs", [SAMPLES / "4.png"], r"4\.png 4 0\.\d+"),
    ("triton.py", [SAMPLES / "6.png", SAMPLES / "9.png"], r"(?s)6\.png 6 \d+ spikes.*9\.png 9 \d+ spikes"),
    ("oip.sh", [], r'(?s)"name":"spiked".*"datatype":"FP32".*"max_batch_size":\d+.*"inference_count":\d+.*\["lenet-mnist"\]'),
    ("oip-infer.sh", [SAMPLES / "7.png"], r'"timesteps":8,"scores":\["[\d.]+:7:7"'),
    ("openapi.sh", [], r"(?s)GET\t/readyz\t.*POST\t/v1/models/\{model\}/classify\t"),
])
def test_example(server, script, arguments, expected):
    if script.endswith(".mjs") and not shutil.which("node"):
        pytest.skip("node is not installed")
    if script == "triton.py":
        pytest.importorskip("tritonclient.http")
    assert re.search(expected, run(server, script, *arguments)), script


def test_refusals_are_the_servers_words(server, tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    for script in ("classify.sh", "classify-many.sh", "classify-json.sh", "layers.sh", "oip-infer.sh"):
        assert "PNG" in run(server, script, tmp_path / "x.png", status=22), script


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", (EXAMPLES / "README.md").read_text(), re.S)


def test_the_pages_snippets(server, tmp_path):
    """What the README tells to paste works as it stands, but for the address."""
    shutil.copy(SAMPLES / "7.png", tmp_path / "digit.png")
    for code in snippets("python"):
        if "tritonclient" in code and not importlib.util.find_spec("tritonclient"):
            continue
        done = subprocess.run([sys.executable, "-c", code.replace("127.0.0.1:8080", server.address)], capture_output=True, text=True, timeout=180,
                              check=False, cwd=tmp_path)
        assert done.returncode == 0 and "7" in done.stdout, done.stderr
    if shutil.which("node"):
        code, = snippets("js")
        done = subprocess.run(["node", "--input-type=module", "-e", 'import { readFileSync } from "node:fs"; const file = readFileSync("digit.png");'
                               + code.replace("127.0.0.1:8080", server.address)], capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path)
        assert done.returncode == 0 and "label: '7'" in done.stdout, done.stderr


def test_sample(server, tmp_path):
    assert "0.png" in run(server, "sample.sh", "lenet-mnist", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == (SAMPLES / "0.png").read_bytes()


@pytest.fixture(scope="module")
def admin(folder, tmp_path_factory):
    home = tmp_path_factory.mktemp("admin")
    shutil.copytree(folder, home / "models")
    (home / "state").mkdir()
    with http.Daemon(home / "models", "--state", str(home / "state"), "--job-nice", "0", token_file=home / "token") as d:
        yield d


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders with the samples in them, each a few times."""
    root = tmp_path_factory.mktemp("pictures")
    for digit in range(10):
        (root / str(digit)).mkdir()
        for i in range(3):
            shutil.copy(SAMPLES / f"{digit}.png", root / str(digit) / f"{i}.png")
    return root


def test_from_a_calibration_to_a_rollback(admin, pictures):
    run(admin, "calibrate.sh", pictures, "lenet-mnist", "2")  # perhaps activated, perhaps not worth it; kept either way
    kept = run(admin, "calibrations.sh")
    first = re.match(r"[0-9a-f]{64}", kept).group()
    assert f'"id":"{first}"' in run(admin, "activate.sh", "lenet-mnist", first)
    assert '"tables"' in run(admin, "calibrations.sh", "lenet-mnist", first) and "in force" in run(admin, "calibrations.sh")
    assert '"id":null' in run(admin, "activate.sh", "lenet-mnist", "null")
    assert "in force" not in run(admin, "calibrations.sh").splitlines()[0]
    assert "calibration" in run(admin, "activate.sh", "lenet-mnist", "0" * 64, status=22)


def test_a_job(admin, pictures):
    started = requests.post(f"http://{admin.admin_address}/v1/models/lenet-mnist/calibrations", timeout=30, headers={"Authorization": f"Bearer {admin.TOKEN}"},
                            files=[("image", (f"{d}/{i}.png", (pictures / f"{d}/{i}.png").read_bytes())) for d in range(10) for i in range(3)]
                            + [("options", (None, '{"timesteps": [4], "activate": false}'))]).json()
    assert re.search(r'"state":"(running|queued|cancelled|succeeded)"', run(admin, "job.sh", started["id"], "cancel"))
    assert '"state":' in run(admin, "job.sh", started["id"])


def test_models_of_the_admin_listener(admin):
    assert "lenet-mnist\tREADY" in run(admin, "repository.sh")
    assert "lenet-mnist\tUNAVAILABLE" in run(admin, "repository.sh", "unload", "lenet-mnist")
    assert "lenet-mnist\tREADY" in run(admin, "repository.sh", "load", "lenet-mnist")
    assert '"name":"lenet-mnist"' in run(admin, "reload.sh", "lenet-mnist")
    assert "no model of that name" in run(admin, "reload.sh", "nothing", status=22)


def test_metrics(admin):
    run(admin, "classify.sh", SAMPLES / "3.png")
    assert re.search(r'spiked_images_total\{[^}]*model="lenet-mnist"[^}]*\} [1-9]', run(admin, "metrics.sh"))


def test_draining(folder, tmp_path):
    with http.Daemon(folder, token_file=tmp_path / "token") as daemon:
        assert "detail" not in run(daemon, "drain.sh")
        daemon.process.wait(timeout=30)


def test_every_endpoint_has_an_example(server):
    """Of the paths that the server's own description lists, each stands in some example, with a version or without."""
    text = "\n".join(p.read_text() for p in EXAMPLES.iterdir())
    paths = requests.get(f"{server.url}/openapi.json", timeout=10).json()["paths"]
    paths = {path.replace("/versions/{version}", "") for path in paths} - OF_PAGES
    without = [path for path in paths
               if not re.search(re.sub(r"\\\{\w+\\\}", r"[^/\\s?]+", re.escape(path)) + r"(?![\w/])", text)]
    assert not without


def test_every_example_is_listed_and_tested():
    names = {p.name for p in EXAMPLES.iterdir() if p.suffix in (".sh", ".py", ".mjs")}
    listed = set(re.findall(r"`([\w-]+\.(?:sh|py|mjs))", (EXAMPLES / "README.md").read_text()))
    tested = set(re.findall(r'"([\w-]+\.(?:sh|py|mjs))"', open(__file__, encoding="utf-8").read()))
    assert names <= listed and names <= tested
