"""The page as a person uses it: every view clicked through in a real browser, no console error, no serious finding of axe.

BROWSER_SHOTS=DIR keeps a picture of every view."""
import pytest
import requests

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from page_support import ROOT, Page, serious_findings  # noqa: E402


class Classifier(Page):
    """The page with the bundled digits' samples on it."""

    def __init__(self, browser, daemon):
        super().__init__(browser, daemon.url, lambda p: p.id("server").text and len(p.all("#samples button")) == 10)

    def sample(self, i):
        before = self.id("json").get_attribute("textContent")
        self.all("#samples button")[i].click()
        self.until(lambda: self.id("json").get_attribute("textContent") != before)

    def verdict(self):
        return self.id("verdict").text


@pytest.fixture
def page(chromium, page_daemon):
    p = Classifier(chromium, page_daemon)
    yield p
    assert not p.errors()


def test_a_sample_is_classified_and_explained(page):
    page.sample(7)
    assert page.verdict().startswith("7,") and "float network says 7" in page.verdict()
    for card in ("preview", "classes", "steps", "layers", "cost", "latency"):
        assert page.id(f"card-{card}").is_displayed(), card
    assert page.id("preview").size["width"] > 100
    assert [cell.text.split("\n")[0] for cell in page.all("#layers .cell")][:2] == ["conv1", "conv2"]
    assert "from step" in page.id("settled").text
    page.shot("classify")


def test_options_ask_again(page):
    page.sample(3)
    page.choose("option-neuron", "lif-soft")
    page.until(lambda: '"neuron": "lif-soft"' in page.id("json").get_attribute("textContent"))
    assert page.id("option-tau").is_displayed()
    page.choose("option-neuron", "asg")
    page.until(lambda: '"neuron": "asg"' in page.id("json").get_attribute("textContent"))
    assert not page.id("card-steps").is_displayed()
    assert not page.id("option-tau").is_displayed()
    page.id("timesteps").send_keys(Keys.HOME)
    page.until(lambda: '"timesteps": 1,' in page.id("json").get_attribute("textContent"))
    assert page.id("timesteps-value").text == "1"


def test_a_drawn_digit_is_classified(page):
    page.browser.execute_script("""
        const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
        const at = (kind, x, y) => pad.dispatchEvent(new PointerEvent(kind, {pointerId: 1, isPrimary: true,
          clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true}));
        pad.setPointerCapture = () => {};
        at("pointerdown", 0.5, 0.2); for (let y = 0.2; y <= 0.8; y += 0.02) at("pointermove", 0.5, y); at("pointerup", 0.5, 0.8);""")
    page.until(lambda: page.verdict().startswith("1,"))
    page.id("clear").click()
    page.shot("drawn")


def test_other_formats_and_inversion(page):
    """A JPEG-like upload goes through the browser: what the daemon gets is a PNG either way."""
    page.id("file").send_keys(str(ROOT / "models/lenet-mnist/samples/4.png"))
    page.until(lambda: page.verdict().startswith("4,"))
    first = page.id("preview").get_attribute("src")
    page.id("invert").click()
    page.until(lambda: page.id("preview").get_attribute("src") != first)
    page.id("invert").click()
    page.until(lambda: page.verdict().startswith("4,"))


def test_a_file_that_is_no_picture_is_said(page, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    page.id("file").send_keys(str(tmp_path / "notes.png"))
    page.until(lambda: page.id("problem").is_displayed())
    assert "notes.png" in page.id("problem").text


def test_refusals_are_shown_in_the_servers_words(chromium, page_daemon):
    page = Classifier(chromium, page_daemon)
    page.sample(1)
    page.browser.execute_script(
        "const o = document.getElementById('option-neuron'); o.append(new Option('nonsense', 'nonsense')); o.value = 'nonsense';"
        "o.dispatchEvent(new Event('change', {bubbles: true}));")
    page.until(lambda: page.id("problem").is_displayed())
    assert "neuron: expected one of" in page.id("problem").text
    page.choose("option-neuron", "if")
    page.until(lambda: not page.id("problem").is_displayed())
    assert all("400" in line for line in page.errors())


@pytest.mark.parametrize("by,rows", [("timesteps", 8), ("neuron", 8)])
def test_compare(page, by, rows):
    page.sample(5)
    page.id("tab-compare").click()
    page.choose("compare-by", by)
    page.all("#compare-form button")[0].click()
    page.until(lambda: len(page.all("#table-compare tbody tr")) == rows)
    page.until(lambda: page.id("card-compare").is_displayed())
    cells = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in page.all("#table-compare tbody tr")]
    assert all(row[1] == "5" and row[3] == "yes" for row in cells[3:]), cells
    page.shot(f"compare-{by}")


def test_the_curl_command_gives_the_same_answer(page):
    page.sample(2)
    page.choose("option-neuron", "srif")
    page.id("tab-api").click()
    page.until(lambda: "neuron=srif" in page.id("curl").text)
    url = page.id("curl").text.split("'")[-2]
    answer = requests.post(url, data=(ROOT / "models/lenet-mnist/samples/2.png").read_bytes(), timeout=30).json()
    assert answer["neuron"] == "srif" and answer["results"][0]["class"]["label"] == "2"
    page.shot("api")


def test_another_model_and_the_keyboard(page):
    page.sample(0)
    page.choose("model", "rgb")
    page.until(lambda: '"model": "rgb"' in page.id("json").get_attribute("textContent"))
    assert not page.all("#samples button")
    tab = page.id("tab-classify")
    tab.send_keys(Keys.ARROW_RIGHT)
    assert page.browser.switch_to.active_element.get_attribute("id") == "tab-compare"
    assert page.id("view-compare").is_displayed() and not page.id("view-classify").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, axe, scheme):
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    page.sample(9)
    for view in ("classify", "compare", "api"):
        page.id(f"tab-{view}").click()
        serious = serious_findings(page, axe)
        assert not serious, f"{view}, {scheme}: {serious}"
        page.shot(f"{view}-{scheme}")
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_phone_width_scrolls_only_downwards(page):
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    page.sample(6)
    for view in ("classify", "compare", "api"):
        page.browser.execute_script(f"document.getElementById('tab-{view}').click()")
        width = page.browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 375, f"{view} is {width} px wide"
    page.browser.execute_script("document.getElementById('tab-classify').click()")
    page.shot("phone")
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
