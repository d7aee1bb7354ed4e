"""One list of our own headers: contracts/headers.yaml."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from components.contracts import HEADERS
from tests.support.contracts import contract
from toolchain import paths

OURS = re.compile(r"(?i)x-(model|request|client|error)(-[a-z]+)*")
OTHERS = {"x-client-ip"}
"""Headers of others that look like ours."""


def written(*parts: str) -> Iterator[tuple[Path, str]]:
    """File and name, in lower case, of every header of ours that a program writes."""
    for part in parts:
        for file in sorted((paths.ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Constant):
                    continue
                value = node.value
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                if not isinstance(text, str) or not OURS.fullmatch(text):
                    continue
                if text.lower() not in OTHERS:
                    yield file.relative_to(paths.ROOT), text.lower()


def test_programs_read_the_names_from_the_contract() -> None:
    """A header that is renamed on one side alone would be ignored without an error."""
    assert list(written("components", "stacks", "slipway", "examples")) == []


def test_images_write_the_names_of_the_contract_and_no_others() -> None:
    found = {name for _, name in written("images", "bounded_http", "pod_parts")}
    assert found <= set(HEADERS.values())


def test_the_model_server_knows_what_callers_and_controllers_set() -> None:
    found = {name for _, name in written("images/model_server")}
    headers = contract("headers")["headers"].values()
    assert {it["name"] for it in headers} - found == {
        # Read by the gateway alone: it chooses the server, and logs the client.
        *("x-model", "x-client-id", "x-client-subject"),
    }


def test_each_header_says_who_sets_it_and_what_it_means() -> None:
    for key, header in contract("headers")["headers"].items():
        assert header.keys() == {"name", "set_by", "meaning"}, key
        assert header["name"] == header["name"].lower()
        assert set(header["set_by"]) <= {"caller", "gateway", "rollout", "server"}


def test_the_pages_name_no_other_headers() -> None:
    """Callers learn them from the pages and from the READMEs of the images."""
    pages = [*paths.ROOT.glob("docs/**/*.md"), *paths.ROOT.glob("images/*/README.md")]
    pages = [page for page in pages if "reference" not in page.parts]
    pattern = re.compile(r"(?i)(?<![\w-])x-model(?:-[a-z]+)*(?![\w-])")
    found = {name.lower() for it in pages for name in pattern.findall(it.read_text())}
    assert found
    assert found <= set(HEADERS.values())
