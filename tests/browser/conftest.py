"""A real headless Chromium (Debian's, through its own driver) looking at a real daemon with the bundled digits and a small colour network."""
import os
import pathlib
import shutil

import pytest

pytest.importorskip("selenium", reason="selenium is not installed (Debian: python3-selenium)")
from page_support import ROOT, http  # noqa: E402

@pytest.fixture(scope="session")
def page_daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models/lenet-mnist", folder / "lenet-mnist", ignore=shutil.ignore_patterns("recipe"))
    (folder / "rgb").mkdir()
    (folder / "rgb" / "model.safetensors").write_bytes(http.make.network(3, 8, 6, 4, depth=2, seed=2))
    with http.Daemon(folder) as d:
        yield d


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    driver = shutil.which("chromedriver")
    if not driver:
        pytest.skip("chromedriver is not installed (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1400",
                 "--force-prefers-reduced-motion", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(service=Service(driver), options=options)
    browser.set_script_timeout(60)
    browser.downloads = tmp_path_factory.mktemp("downloads")
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(browser.downloads)})
    yield browser
    browser.quit()


@pytest.fixture
def axe():
    path = os.environ.get("AXE_JS")
    if not path or not pathlib.Path(path).exists():
        pytest.skip("AXE_JS does not name axe-core's axe.min.js (npm)")
    return pathlib.Path(path).read_text()
