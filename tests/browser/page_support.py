"""A page in the browser, in words, and the daemon of tests/http."""
import importlib.util
import os
import pathlib
import sys

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

ROOT = pathlib.Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("http_conftest", ROOT / "tests/http/conftest.py")
http = sys.modules.setdefault("http_conftest", importlib.util.module_from_spec(spec))
if not hasattr(http, "Daemon"):
    spec.loader.exec_module(http)


class Page:
    def __init__(self, browser, url, ready):
        self.browser, self.url = browser, url
        browser.get_log("browser")
        browser.get(url + "/")
        self.until(lambda: ready(self))

    def id(self, name):
        return self.browser.find_element(By.ID, name)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def until(self, what, timeout=30):
        return WebDriverWait(self.browser, timeout, poll_frequency=0.05, ignored_exceptions=[]).until(lambda _: what())

    def choose(self, name, value):
        Select(self.id(name)).select_by_value(value)

    def shot(self, name):
        """Keep a picture of the view, where BROWSER_SHOTS names a folder."""
        if os.environ.get("BROWSER_SHOTS"):
            self.browser.save_screenshot(str(pathlib.Path(os.environ["BROWSER_SHOTS"]) / f"{name}.png"))

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


def serious_findings(page, axe):
    page.browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    found = page.browser.execute_async_script("const done = arguments[arguments.length - 1]; axe.run().then((r) => done(r.violations));")
    return [(v["id"], v["help"], [n["html"][:120] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]
