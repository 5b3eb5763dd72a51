"""A real daemon with the bundled digits for the clients' tests."""
import shutil

import pytest

from client_support import ROOT, Spikectl, http


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models/lenet-mnist", folder / "lenet-mnist", ignore=shutil.ignore_patterns("recipe"))
    return folder


@pytest.fixture(scope="session")
def server(folder):
    with http.Daemon(folder) as d:
        yield d


@pytest.fixture
def spikectl(server, tmp_path):
    return Spikectl(server.url, tmp_path)
