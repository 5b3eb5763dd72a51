"""The operations page: sign in, calibrate from uploaded pictures, see before and after, activate, roll back."""
import pytest

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

from page_support import ROOT, Page, http, serious_findings  # noqa: E402

TOKEN = "a-token-of-the-browser-tests"


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    folder, state = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state")
    (folder / "tiny").mkdir()
    (folder / "tiny" / "model.safetensors").write_bytes(http.make.network(1, 8, 6, 3, labels=["a", "b", "c"]))
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    with http.Daemon(folder, "--state", str(state), "--admin-listen", "127.0.0.1:0", "--admin-token-file", str(token)) as d:
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
    page.until(lambda: page.id("result").is_displayed(), timeout=60)
    assert page.id("conclusion").text.startswith("Activated as generation 1."), page.id("conclusion").text
    assert len(page.all("#table-gain tbody tr")) == 2
    page.until(lambda: page.id("in-force").text.startswith("In force: 1-"))
    page.shot("operations")
    assert not serious_findings(page, axe)
    page.id("own").click()
    page.until(lambda: "generation 2" in page.id("in-force").text)
    button, = [b for b in page.all("#calibrations button") if b.text == "activate"]
    button.click()
    page.until(lambda: page.id("in-force").text.startswith("In force: 3-"))


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
