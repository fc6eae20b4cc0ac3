"""A headless Chromium for tests, spoken to as WebDriver says: ``from browser import Browser``.

No package is needed: Chromium's driver takes JSON over HTTP (https://www.w3.org/TR/webdriver2/).
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import URLError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Browser:
    """One window. Use it as a context manager."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        port = _free_port()
        self._driver = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._url = f"http://127.0.0.1:{port}"
        try:
            self._wait()
            arguments = [*OPTIONS, f"--user-data-dir={self._profile.name}"]
            wanted = {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments},
            }
            made = self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
            self._url += f"/session/{made['sessionId']}"
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            request.urlopen(request.Request(self._url, method="DELETE"), timeout=60)
        finally:
            self._end()

    def _end(self) -> None:
        self._driver.terminate()
        self._driver.wait(60)
        self._profile.cleanup()

    def _wait(self) -> None:
        for _ in range(600):
            try:
                request.urlopen(f"{self._url}/status", timeout=60)
            except URLError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("chromedriver does not answer")

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        made = request.Request(self._url + path, data, {"Content-Type": "application/json"})
        with request.urlopen(made, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def open(self, page: Path, width: int = 1200, height: int = 900, **media: str) -> None:
        """Loads a file in a window of that size; ``media`` are features such as
        ``prefers_color_scheme="dark"``, and ``type="print"``."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        kind = media.pop("type", "")
        features = [{"name": k.replace("_", "-"), "value": v} for k, v in media.items()]
        self.cdp("Emulation.setEmulatedMedia", media=kind, features=features)
        self._post("/url", {"url": page.as_uri()})

    def cdp(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a JavaScript function body returns; the page's own policy does not bind it."""
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def messages(self) -> list[str]:
        """What the console said since the last call."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        taken = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        printed = self.cdp("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(printed["data"])
