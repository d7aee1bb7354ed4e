"""The picture of a report of `slipway compare` that the README shows.

`make docs` writes it, from a report that a test holds. Rich wraps and colours it as in
a terminal. The font is whatever the reader's machine has: nothing is loaded.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.terminal_theme import TerminalTheme
from rich.theme import Theme

from toolchain import paths

REPORT = Path("tests/golden/compare/pool-type.md")
PICTURE = Path("docs/images/compare-report.svg")
COLUMNS = 96
FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>A report of slipway compare</title>
<style>
text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  monospace; font-size: {char_height}px; white-space: pre; }}
{styles}
</style>
<rect width="{width}" height="{height}" fill="#ffffff" stroke="#d0d7de" rx="8"/>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<g transform="translate({terminal_x}, {terminal_y})"
  clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g>{matrix}</g>
</g>
</svg>
"""
COLOURS = TerminalTheme((255, 255, 255), (31, 35, 40), [(31, 35, 40)] * 8)
STYLES = Theme(
    {
        "markdown.h3": "bold",
        "markdown.h4": "bold #0969da",
        "markdown.code": "#8250df",
        "markdown.item.bullet": "default",
        "markdown.table.header": "bold",
        "markdown.table.border": "#d0d7de",
    }
)


def picture() -> str:
    """The report as SVG."""
    text = (paths.ROOT / REPORT).read_text()
    # What folds on a page of the host's is shown open.
    text = re.sub(r"<details><summary>(.*?)</summary>", r"#### \1", text)
    text = re.sub(r"</?code>", "`", text).replace("</details>\n", "")
    console = Console(
        width=COLUMNS,
        height=COLUMNS,  # with both, rich asks no terminal
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        theme=STYLES,
        no_color=False,
        force_jupyter=False,
        legacy_windows=False,
    )
    console.print(Markdown(text, hyperlinks=False))
    return console.export_svg(theme=COLOURS, code_format=FRAME, unique_id="report")
