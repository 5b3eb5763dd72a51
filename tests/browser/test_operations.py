"""The operations page: sign in, calibrate from uploaded pictures, see before and after, activate, roll back."""
import pytest

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

from page_support import ROOT, Page, http, serious_findings  # noqa: E402

TOKEN = "a-token-of-the-browser-tests"


def start(folder):
    """A daemon that keeps everything below a folder."""
    (folder / "models/tiny").mkdir(parents=True)
    (folder / "state").mkdir()
    (folder / "models/tiny/model.safetensors").write_bytes(http.make.network(1, 8, 6, 3, labels=["a", "b", "c"]))
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "token").chmod(0o600)
    return http.Daemon(folder / "models", "--state", str(folder / "state"), "--job-nice", "0", "--admin-listen", "127.0.0.1:0",
                       "--admin-token-file", str(folder / "token"))


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    with start(tmp_path_factory.mktemp("operations")) as d:
        yield d


def admin_url(daemon):
    line = daemon.wait_log("admin-listening")
    return "http://" + line.split("address")[1].strip("=\": ").split()[0].strip('",}')


@pytest.fixture
def page(chromium, operations):
    p = Page(chromium, admin_url(operations), ready=lambda q: q.id("sign-in"))
    yield p
    assert not p.errors()


def sign_in(page, token=TOKEN):
    page.id("token").clear()
    page.id("token").send_keys(token)
    page.all("#sign-in button")[0].click()


def test_a_wrong_token_is_said(chromium, operations):
    page = Page(chromium, admin_url(operations), ready=lambda q: q.id("sign-in"))
    sign_in(page, "not-the-right-token-at-all")
    page.until(lambda: page.id("problem").is_displayed())
    assert "token" in page.id("problem").text and not page.id("console").is_displayed()
    assert all("401" in line for line in page.errors())


def pictures(folder):
    for label in "abc":
        (folder / label).mkdir(exist_ok=True)
        for i in range(12):
            (folder / label / f"{i}.png").write_bytes(http.make.picture(ord(label) * 100 + i))
    return folder


def test_from_upload_to_rollback(page, tmp_path, axe):
    sign_in(page)
    page.until(lambda: page.id("console").is_displayed())
    assert "tiny" in page.id("models").text and "served" in page.id("models").text
    assert "what the model file itself recommends" in page.id("in-force").text
    page.id("folder").send_keys(str(pictures(tmp_path)))
    page.id("timesteps").clear()
    page.id("timesteps").send_keys("4, 8")
    page.browser.execute_script("document.getElementById('min-gain').value = '-100'")
    page.all("#upload .primary")[0].click()
    page.until(lambda: page.id("result").is_displayed(), timeout=180)
    assert page.id("conclusion").text.startswith("Activated as generation 1."), page.id("conclusion").text
    assert len(page.all("#table-gain tbody tr")) == 2
    page.until(lambda: page.id("in-force").text.startswith("In force: 1-"))
    page.shot("operations")
    assert not serious_findings(page, axe)
    assert "1-" in page.id("models").text  # the calibration in force, beside its model
    page.id("own").click()
    page.until(lambda: "generation 2" in page.id("in-force").text)
    button, = [b for b in page.all("#calibrations button") if b.text == "activate"]
    button.click()
    page.until(lambda: page.id("in-force").text.startswith("In force: 3-"))
    page.id("back").click()  # there was no other calibration before
    page.until(lambda: "generation 4" in page.id("in-force").text)
    assert "what the model file itself recommends" in page.id("in-force").text
    page.id("back").click()
    page.until(lambda: page.id("in-force").text.startswith("In force: 5-"))


def test_files_are_spoken_of_one_by_one(page, tmp_path):
    """Those left out, and those that the daemon cannot read."""
    sign_in(page)
    page.until(lambda: page.id("console").is_displayed())
    (pictures(tmp_path) / "a/notes.txt").write_text("no picture")
    (tmp_path / "b/torn.png").write_bytes(http.make.picture(5)[:40])
    page.id("folder").send_keys(str(tmp_path))
    page.browser.execute_script("document.getElementById('timesteps').value = '4'; document.getElementById('activate').checked = false")
    page.all("#upload .primary")[0].click()
    page.until(lambda: page.id("result").is_displayed(), timeout=180)
    said = page.id("files-list").text
    assert "a/notes.txt: left out" in said and "b/torn.png: " in said, said
    assert page.id("conclusion").text.startswith("Not activated") and "1 of 37 pictures could not be read" in page.id("conclusion").text


def test_a_broken_upload_is_said_file_by_file(chromium, tmp_path):
    """The daemon dies in the middle of it."""
    daemon = start(tmp_path)
    page = Page(chromium, admin_url(daemon), ready=lambda q: q.id("sign-in"))
    sign_in(page)
    page.until(lambda: page.id("console").is_displayed())
    for i in range(8):
        (tmp_path / f"{i}.png").write_bytes(bytes(100_000))
    page.id("files").send_keys("\n".join(str(tmp_path / f"{i}.png") for i in range(8)))
    network = {"offline": False, "latency": 0, "downloadThroughput": -1}
    page.browser.execute_cdp_cmd("Network.enable", {})
    page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "uploadThroughput": 200_000})
    page.all("#upload .primary")[0].click()
    page.until(lambda: page.id("progress").is_displayed() and float(page.id("progress").get_attribute("value")) > 250_000)
    daemon.process.kill()
    page.until(lambda: "broke off" in page.id("problem").text)
    lines = page.id("files-list").text.splitlines()
    page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "uploadThroughput": -1})
    page.shot("operations-broken")
    assert len(lines) == 8 and lines[0] == "0.png: sent" and lines[7] == "7.png: not sent", lines
    assert len([line for line in lines if "broke off in it" in line]) == 1
    page.errors()


def test_what_the_server_refuses_is_said(page, tmp_path):
    sign_in(page)
    page.until(lambda: page.id("console").is_displayed())
    page.all("#upload .primary")[0].click()
    page.until(lambda: page.id("problem").is_displayed())
    assert "Choose a folder" in page.id("problem").text


def test_models_are_unloaded_and_loaded(page):
    sign_in(page)
    page.until(lambda: page.id("console").is_displayed())
    page.browser.find_element(By.CSS_SELECTOR, "[aria-label='unload tiny']").click()
    page.until(lambda: "not served" in page.id("models").text)
    page.browser.find_element(By.CSS_SELECTOR, "[aria-label='load tiny']").click()
    page.until(lambda: "not served" not in page.id("models").text)
    assert Select(page.id("model")).options[0].text == "tiny"
