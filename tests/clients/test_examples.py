"""Every example runs as it stands and says what its head promises."""
import re
import shutil
import subprocess

import pytest

from client_support import ROOT

EXAMPLES = ROOT / "clients/examples"
SAMPLES = ROOT / "models/lenet-mnist/samples"
NEEDS_ADMIN = {"calibrate.sh"}  # test_spikectl_admin.py runs it


def run(server, script, *arguments, status=0):
    done = subprocess.run([EXAMPLES / script, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin", "URL": server.url})
    assert done.returncode == status, done.stderr
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
])
def test_example(server, script, arguments, expected):
    if script.endswith(".mjs") and not shutil.which("node"):
        pytest.skip("node is not installed")
    assert re.search(expected, run(server, script, *arguments)), script


def test_sample(server, tmp_path):
    assert "0.png" in run(server, "sample.sh", "lenet-mnist", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == (SAMPLES / "0.png").read_bytes()


def test_every_example_is_listed_and_tested():
    names = {p.name for p in EXAMPLES.iterdir() if p.suffix in (".sh", ".py", ".mjs")}
    listed = set(re.findall(r"`([\w-]+\.(?:sh|py|mjs))", (EXAMPLES / "README.md").read_text()))
    tested = set(re.findall(r'"([\w-]+\.(?:sh|py|mjs))"', open(__file__, encoding="utf-8").read()))
    assert names <= listed and names <= tested

