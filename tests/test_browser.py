"""What a person does, in a real browser: run the notebooks to play with in JupyterLab, and click through the site."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jupytext
import pytest

from lfcore.core.paths import ROOT

webdriver = pytest.importorskip("selenium.webdriver", reason="Browser tests need selenium: pip install selenium.")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").glob("9*.py"))
SITES = [path.parent for path in sorted(ROOT.glob("results/*/site/index.html"))]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="Browser tests need chromium and chromedriver: apt install chromium-driver."
    ),
]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # else cells out of sight are not in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,1500"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def wait(browser, condition, what, seconds=120):
    """The first true value of `condition(browser)`; a stale element is not there yet."""
    from selenium.common.exceptions import StaleElementReferenceException

    return WebDriverWait(browser, seconds, ignored_exceptions=[StaleElementReferenceException]).until(condition, what)


# JupyterLab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A function from a notebook's name to its address, in a JupyterLab of its own with fresh copies of them."""
    folder, settings = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("settings")
    for path in NOTEBOOKS:
        jupytext.write(jupytext.read(path), folder / f"{path.stem}.ipynb")
    jupytext.write(jupytext.reads("# %%\n1 / 0\n", "py:percent"), folder / "broken.ipynb")
    for name, values in SETTINGS.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip", "127.0.0.1"]
    command += [
        "--port",
        str(port),
        "--IdentityProvider.token=T",
        "--expose-app-in-browser",
        f"--notebook-dir={folder}",
    ]
    places = {"JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTER_CONFIG_DIR": str(settings / "config")}
    places |= {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(settings / "ipython")}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **places})
        try:
            _await(f"http://127.0.0.1:{port}/api/status?token=T", server, folder / "server.log")
            yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}.ipynb?token=T&reset"
        finally:
            server.terminate()
            server.wait(30)


def _await(address, server, log):
    import time

    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, log.read_text()
            time.sleep(0.25)
    raise AssertionError(log.read_text())


def run_all(browser, address):
    """Open a notebook, run all cells, and wait until the last one has run."""
    browser.get(address)
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell"), "the notebook opens")
    ready = "return window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    wait(browser, lambda b: accept(b) or b.execute_script(ready), "its kernel starts")
    accept(browser)
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait(browser, lambda b: accept(b) or finished(b) or errors(b), "all cells run", 300)


def accept(browser):
    """Accept the dialogs that are open, and return nothing."""
    for button in browser.find_elements(By.CSS_SELECTOR, ".jp-Dialog .jp-mod-accept"):
        button.click()


def finished(browser):
    prompts = browser.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-InputPrompt")
    return prompts and all(prompt.text.strip("[]: ").isdigit() for prompt in prompts)


def errors(browser):
    """The text of every error that a cell or a control shows."""
    marks = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    marks += ", .jupyter-widgets-error-widget"
    return [one.text for one in browser.find_elements(By.CSS_SELECTOR, marks)]


def pictures(browser):
    """The sources of the pictures in the notebook's outputs."""
    images = browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output img")
    return [image.get_attribute("src") for image in images]


def test_an_error_cell_is_found_out(browser, lab):
    run_all(browser, lab("broken"))
    assert "ZeroDivisionError" in "".join(errors(browser))


@pytest.mark.parametrize("stem", [path.stem for path in NOTEBOOKS])
def test_a_notebook_to_play_with_runs_and_its_picture_follows_a_slider(browser, lab, stem):
    run_all(browser, lab(stem))
    assert errors(browser) == []
    before = wait(browser, pictures, "there is a picture")
    sliders = browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output .widget-hslider .noUi-handle")
    assert sliders or stem != "90_playground"
    if sliders:
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", sliders[0])
        sliders[0].send_keys(Keys.ARROW_RIGHT)
        wait(browser, lambda b: pictures(b) not in ([], before), "the picture follows the slider", 300)
    assert errors(browser) == []


def test_a_strength_at_its_end_gives_a_picture_or_says_why_not(browser, lab):
    """Run again after the test above: a slider of the method this time, moved as far as it goes."""
    run_all(browser, lab("90_playground"))
    before = wait(browser, pictures, "there is a picture")
    shown = {one.text for one in browser.find_elements(By.CSS_SELECTOR, ".widget-hslider .widget-label")}
    assert {"fraction", "lr", "beta", "k"} <= shown, "controls of the parameters cells and of the method"
    for row in browser.find_elements(By.CSS_SELECTOR, ".widget-hslider"):
        if row.find_element(By.CSS_SELECTOR, ".widget-label").text == "lr":
            row.find_element(By.CSS_SELECTOR, ".noUi-handle").send_keys(Keys.END)
    wait(browser, lambda b: pictures(b) != before or "lower lr" in b.page_source, "something happens", 300)
    assert errors(browser) == [] and pictures(browser)


# The site


def failures(browser):
    """What the browser asked for and did not get, or asked of a network, since the last call."""
    found = []
    for entry in browser.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.loadingFailed" and not event["params"].get("canceled"):
            found.append(event["params"]["errorText"])
        if event["method"] == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            found += [url] if urlsplit(url).scheme in ("http", "https", "ws", "wss") else []
    return found + [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def links(browser):
    """The addresses that the page links to, without those of other sites."""
    found = [one.get_attribute("href") for one in browser.find_elements(By.CSS_SELECTOR, "a[href]")]
    return sorted({address for address in found if not address.startswith(("http", "mailto:"))})


def path_of(address):
    return Path(unquote(urlsplit(address).path))


def test_a_page_that_needs_the_network_is_found_out(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<script src='https://lfcore.invalid/library.js'></script>")
    failures(browser)
    browser.get(page.as_uri())
    assert "https://lfcore.invalid/library.js" in failures(browser)


@pytest.mark.parametrize("site", ["small", *SITES], ids=lambda site: site if site == "small" else site.parent.name)
def test_every_click_through_the_site_leads_somewhere_without_network(browser, site, request):
    folder = request.getfixturevalue("small_site") if site == "small" else site
    browser.get("about:blank")
    failures(browser)
    browser.get((folder / "index.html").as_uri())
    assert failures(browser) == []
    images = browser.find_elements(By.CSS_SELECTOR, "img")
    assert images and all(image.get_attribute("alt") for image in images)
    assert all(image.get_property("naturalWidth") > 0 for image in images)
    places = links(browser)
    for address in places:
        assert path_of(address).is_file(), address
        if urlsplit(address).fragment:
            assert browser.find_elements(By.ID, urlsplit(address).fragment), address
    pages = [address for address in places if address.endswith(".html")]
    assert pages
    for address in pages:
        link = browser.find_element(By.CSS_SELECTOR, f"a[href='{os.path.relpath(path_of(address), folder)}']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", link)
        link.click()
        wait(browser, lambda b, address=address: b.current_url == address, address, 20)
        assert failures(browser) == [], address
        if path_of(address).parent.name == "pages":
            browser.find_element(By.CSS_SELECTOR, "nav a").click()
            wait(browser, lambda b: path_of(b.current_url) == folder / "index.html", "the way back", 20)
        else:
            wait(browser, lambda b: "Workflow" in b.find_element(By.TAG_NAME, "body").text, "the report opens", 30)
            browser.back()
        assert failures(browser) == [], address
