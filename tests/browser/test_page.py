"""The page as a person uses it: every view clicked through in a real browser, no console error, no serious finding of axe.

BROWSER_SHOTS=DIR keeps a picture of every view."""
import base64
import json
import subprocess

import pytest

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from page_support import ROOT, Page, http, serious_findings  # noqa: E402

SAMPLES = ROOT / "models/lenet-mnist/samples"


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
    page.shot("drawn")
    page.id("clear").click()
    page.until(lambda: "tells apart: 0, 1, 2" in page.verdict())
    assert not page.id("card-classes").is_displayed()


def test_other_formats_and_inversion(page, tmp_path):
    """A JPEG goes through the browser: what the daemon gets is a PNG either way."""
    image = pytest.importorskip("PIL.Image")
    image.open(SAMPLES / "4.png").resize((140, 140)).save(tmp_path / "four.jpg")
    page.id("file").send_keys(str(tmp_path / "four.jpg"))
    page.until(lambda: page.verdict().startswith("4,"))
    first = page.id("preview").get_attribute("src")
    page.id("invert").click()
    page.until(lambda: page.id("preview").get_attribute("src") != first)
    page.id("invert").click()
    page.until(lambda: page.verdict().startswith("4,"))


GIVE = """
  const [how, text] = arguments, data = new DataTransfer();
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  if (text) data.items.add(new File([bytes], "given.png", {type: "image/png"}));
  const event = how === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
    : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
  document.querySelector(how === "paste" ? "body" : "h1").dispatchEvent(event);
  return event.defaultPrevented;"""


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_pictures_are_pasted_and_dropped(page, how):
    """Dropped anywhere: the browser would leave the page for a file that nobody takes."""
    text = base64.b64encode((SAMPLES / "6.png").read_bytes()).decode()
    assert page.browser.execute_script(GIVE, how, text) == (how == "drop")
    page.until(lambda: page.verdict().startswith("6,"))
    if how == "drop":
        page.browser.execute_script(GIVE, how, "")
        page.until(lambda: "no file" in page.id("problem").text)


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
    assert page.verdict().startswith("No answer to this")  # what is below is not taken for one
    page.shot("refused")
    page.choose("option-neuron", "if")
    page.until(lambda: not page.id("problem").is_displayed())
    assert page.verdict().startswith("1,")
    assert all("400" in line for line in page.errors())


def test_a_server_that_is_gone_or_wants_a_key(chromium, tmp_path):
    folder = tmp_path / "models/tiny"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(http.make.network(1, 8, 6, 3, labels=["a", "b", "c"]))
    (tmp_path / "keys").write_text("me a-key-of-sixteen-and-more\n")
    with http.Daemon(tmp_path / "models", "--api-keys-file", str(tmp_path / "keys")) as daemon:
        page = Page(chromium, daemon.url, lambda p: p.id("problem").is_displayed())
        assert "expected a key" in page.id("problem").text and "below" in page.id("problem").text
        page.id("key").send_keys("a-key-of-sixteen-and-more", Keys.ENTER)
        page.until(lambda: "a, b, c" in page.id("verdict").text)
        assert not page.id("key-form").is_displayed() and not page.id("problem").is_displayed()
        assert page.id("no-samples").is_displayed()
        page.id("file").send_keys(str(SAMPLES / "4.png"))
        page.until(lambda: "float network says" in page.id("verdict").text)
        page.id("tab-api").click()
        assert '"Authorization: Bearer $KEY"' in page.id("curl").text
    page.id("timesteps").send_keys(Keys.HOME)
    page.until(lambda: "cannot be reached" in page.id("problem").text)
    page.errors()  # the browser's own lines about both


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
    page.sample(6)  # another picture: the comparison was not of it
    assert not page.all("#table-compare tr") and not page.id("card-compare").is_displayed()


def test_the_curl_commands_work_as_they_stand(page):
    """Save the picture, paste the command into a shell: the answer is the one on screen, but for its clock."""
    page.sample(2)
    page.choose("option-neuron", "srif")
    page.id("tab-api").click()
    page.until(lambda: "neuron=srif" in page.id("curl").text)
    page.until(lambda: '"neuron": "srif"' in page.id("json").get_attribute("textContent"))
    shown = json.loads(page.id("json").get_attribute("textContent"))
    page.id("save").click()
    page.until((page.browser.downloads / "picture.png").exists)
    for command, whole in (("curl", False), ("curl-all", True)):
        done = subprocess.run(["bash", "-c", page.id(command).text.replace("curl ", "curl -sS ", 1)], capture_output=True, timeout=30,
                              check=True, cwd=page.browser.downloads)
        answer = json.loads(done.stdout)
        assert answer["neuron"] == "srif" and answer["results"][0]["class"] == shown["results"][0]["class"]
        if whole:
            assert answer["results"][0]["input_png"][:24] == shown["results"][0]["input_png"][:24]
            for each in (answer, shown):
                del each["latency_ms"], each["results"][0]["input_png"]
            assert answer == shown
    page.shot("api")


def test_nothing_comes_from_elsewhere(page):
    """Without a network but the daemon's, all is there: nothing is asked of another host."""
    page.sample(0)
    asked = page.browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert len(asked) > 10 and all(name.startswith((page.url, "data:", "blob:")) for name in asked), asked


def test_another_model_and_the_keyboard(page):
    page.sample(0)
    page.choose("model", "rgb")
    page.until(lambda: '"model": "rgb"' in page.id("json").get_attribute("textContent"))
    assert not page.all("#samples button") and page.id("no-samples").is_displayed()
    assert "RGB" in page.id("about").text
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
