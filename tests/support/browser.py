"""Headless Chromium, driven by its DevTools protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol: messages are JSON, each ended by a
zero byte; Chromium reads them from descriptor 3 and writes to 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
FLAGS = (
    *("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-sync", "--disable-extensions"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
    # Root has no sandbox; the pages are our own.
    "--no-sandbox",
)


def program() -> str | None:
    """Chromium of the PATH."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page in one Chromium."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._number, self._rest = 0, b""
        self._events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")
        self.call("Log.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page."""
        return self._call(method, self._session, **parameters)

    def show(
        self, width: int, height: int, *, dark: bool = False, scale: float = 1
    ) -> None:
        """Set the size of the window, in CSS pixels, and the colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        self._events.clear()
        found = self.call("Page.navigate", url=url)
        assert not found.get("errorText"), found
        self._wait("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
            )

    def tab(self) -> None:
        self.press("Tab", 9)

    def complaints(self) -> list[str]:
        """What Chromium wrote to the console since the page was opened."""
        self.value("1")
        return [
            event["params"]["entry"]["text"]
            for event in self._events
            if event["method"] == "Log.entryAdded"
        ]

    def picture(self) -> bytes:
        """The window as PNG."""
        found = self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(found["data"])

    def _call(
        self, method: str, session: str = "", **parameters: Any
    ) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                result: dict[str, Any] = found["result"]
                return result
            if "method" in found:
                self._events.append(found)

    def _wait(self, event: str) -> None:
        while event not in [it["method"] for it in self._events]:
            found = self._next()
            if "method" in found:
                self._events.append(found)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reads], [], [], end - time.monotonic())
            assert ready, f"Chromium said nothing for {PATIENCE_SECONDS} s"
            part = os.read(self._reads, 1 << 20)
            assert part, "Chromium has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start Chromium with a profile in the folder."""
    chromium = program()
    assert chromium, "install chromium"
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [
        *("bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash"),
        *(chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}"),
    ]
    with (folder / "chromium.stderr").open("w") as told:
        process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdout=told, stderr=told
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        process.kill()
        process.wait()
        os.close(ours_in)
        os.close(ours_out)
