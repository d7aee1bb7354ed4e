"""The pictures in docs/images of the model console.

    python -m tests.support.screenshots
    python -m tests.support.screenshots http://127.0.0.1:9310/rollouts/demo rollout

The second form takes docs/images/console-<name>.png of any page, such as the lab's
console while `make demo-rollout` runs. The first shows the census data: it runs the
monitor, Alertmanager and the console over four years of predictions, and needs the
training data of the employment model, which are fetched once. Both need Chromium, and
print the pictures' sizes.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "model_monitor"))

from tests.support import browser, census, consoles, watched_models
from tests.support.browser import Browser

FOLDER = paths.ROOT / "docs" / "images"
MOST_BYTES = 150_000
WIDTH, MOST_PIXELS = 1080, 1400


def take(chromium: Browser, console: str) -> None:
    """Take both pictures of the model's page."""
    page = f"{console}/models/employment"
    chromium.show(1080, 1125)
    chromium.open(page)
    _keep("console-model.png", chromium.picture())
    chromium.show(360, 720, dark=True, scale=1.5)
    chromium.open(page)
    chromium.value("document.querySelector('.legend').scrollIntoView()")
    _keep("console-phone.png", chromium.picture())


def take_page(chromium: Browser, url: str, name: str) -> None:
    """Take a picture of one page, as high as its content."""
    chromium.show(WIDTH, 600)
    chromium.open(url)
    height = chromium.value("document.documentElement.scrollHeight")
    chromium.show(WIDTH, min(height, MOST_PIXELS))
    _keep(f"console-{name}.png", chromium.picture())


def _keep(name: str, content: bytes) -> None:
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    print(f"{path.relative_to(paths.ROOT)}: {len(content):,} bytes")
    assert len(content) <= MOST_BYTES, f"more than {MOST_BYTES:,}"


def main() -> int:
    if browser.program() is None:
        print("error: no chromium on PATH; apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        if sys.argv[1:]:
            url, name = sys.argv[1:]
            take_page(stack.enter_context(browser.browser(folder)), url, name)
            return 0
        config = census.fill(folder)
        ports = stack.enter_context(watched_models.monitor(folder, config))
        monitor = f"http://127.0.0.1:{ports['port']}"
        router = stack.enter_context(consoles.alertmanager(folder))
        url = stack.enter_context(consoles.console(folder, monitor, router)).pages
        take(stack.enter_context(browser.browser(folder)), url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
