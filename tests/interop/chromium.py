"""A headless Chromium, driven by the WebDriver protocol of the W3C.

`$CHROMIUM` and `$CHROMEDRIVER` are the paths of the two programs.
"""

import base64
import re
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from conftest import STARTUP_SECONDS, Server, binary, http, running

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER, TAB = "\ue007", "\ue004"

ARGUMENTS = [
    "--headless",
    # The sandbox refuses to work for root, as whom tests often run in containers.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-proxy-server",
]


class Driver(Server):
    """It says in a sentence of its own where it listens."""

    def _wait_until_ready(self):
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"started successfully on port (\d+)\.", self.output()):
                return f"http://127.0.0.1:{found[1]}"
            time.sleep(0.02)
        raise RuntimeError(f"ChromeDriver is not ready:\n{self.output()}")


class Browser:
    """A window, and what a person does in it."""

    def __init__(self, driver, profile):
        options = {"binary": binary("CHROMIUM"), "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._url = f"{driver.url}/session"
        session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/{session['sessionId']}"

    def _ask(self, method, path, body=None):
        if method == "POST":
            body = body or {}
        answer = http.request(method, self._url + path, json=body, timeout=30)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def close(self):
        self._ask("DELETE", "")

    def go(self, url):
        self._ask("POST", "/url", {"url": url})

    @property
    def url(self):
        return self._ask("GET", "/url")

    @property
    def title(self):
        return self._ask("GET", "/title")

    def all(self, selector):
        found = self._ask("POST", "/elements", {"using": "css selector", "value": selector})
        return [element[ELEMENT] for element in found]

    def text(self, selector="body"):
        return [self._ask("GET", f"/element/{element}/text") for element in self.all(selector)]

    def click(self, selector):
        [element] = self.all(selector)
        self._ask("POST", f"/element/{element}/click")

    def type(self, keys):
        """To whatever has the focus."""
        element = self._ask("GET", "/element/active")[ELEMENT]
        self._ask("POST", f"/element/{element}/value", {"text": keys})

    def enter_frame(self, number):
        self._ask("POST", "/frame", {"id": number})

    def script(self, text):
        return self._ask("POST", "/execute/sync", {"script": text, "args": []})

    def begin_anew(self):
        self.go("about:blank")
        self.forget_cookies()
        self.devtools("Emulation.clearDeviceMetricsOverride")
        self.devtools("Emulation.setEmulatedMedia", features=[])
        self.complaints()

    def forget_cookies(self):
        self.devtools("Network.clearBrowserCookies")

    def devtools(self, command, **parameters):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def show_on(self, width, height, scheme="light"):
        """A screen of this size, in light or dark colours."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def complaints(self):
        """What the console has about policies since it was asked before."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if "Policy" in entry["message"]]

    def wait_for(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{self.url}: {self.text()}"
            time.sleep(0.02)

    def picture(self, file):
        Path(file).write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))


@contextmanager
def driver_process():
    with running(Driver, [binary("CHROMEDRIVER"), "--port=0"]) as driver:
        yield driver


@contextmanager
def browser(driver):
    """A browser with a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        window = Browser(driver, profile)
        try:
            yield window
        finally:
            window.close()
