"""What the tests of the clients share: the daemon of tests/http, and running spikectl."""
import importlib.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("http_conftest", ROOT / "tests/http/conftest.py")
http = sys.modules.setdefault("http_conftest", importlib.util.module_from_spec(spec))
if not hasattr(http, "Daemon"):
    spec.loader.exec_module(http)

SPIKECTL = str(pathlib.Path(http.SPIKED).with_name("spikectl"))


class Spikectl:
    """The program with an environment of its own."""

    def __init__(self, url, home):
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPIKE", "XDG_"))}
        self.environment.update(SPIKECTL_URL=url, HOME=str(home))

    def __call__(self, *arguments, stdin=None, **environment):
        return subprocess.run([SPIKECTL, *map(str, arguments)], input=stdin, capture_output=True, timeout=120, check=False,
                              env={**self.environment, **environment})

    def ok(self, *arguments, **more):
        done = self(*arguments, **more)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def fails(self, status, *arguments, **more):
        """What it says when it ends with that status."""
        done = self(*arguments, **more)
        assert done.returncode == status, (done.returncode, done.stderr.decode())
        return done.stderr.decode()
