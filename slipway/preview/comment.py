"""The report as one comment on a pull request of GitHub's, which later runs edit.

    GITHUB_TOKEN=... python3 -m slipway.preview.comment NUMBER DIR

DIR is what `slipway compare --out` wrote; GITHUB_REPOSITORY and GITHUB_API_URL are
variables of every job. Needs the standard library alone: the job whose token can write
comments installs nothing and runs no code but base's.

API: https://docs.github.com/en/rest/issues/comments
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from toolchain.errors import FAILED, OperatorError

MARKER = "<!-- slipway-compare -->"
"""First line of the comment, which GitHub does not show."""
AUTHOR = "github-actions[bot]"
"""Whose comments are edited: anybody can write the marker into one of their own."""
PAGE = 100
"""Comments per page; GitHub's most."""
TIMEOUT_SECONDS = 20.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: urllib would send the token wherever it points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class PullRequest:
    """One pull request, and the token that may write comments on it."""

    api: str
    """URL of the API, without a slash at its end."""
    repository: str
    """OWNER/NAME."""
    number: int
    token: str = field(repr=False)

    def comments(self) -> Iterator[Mapping[str, Any]]:
        """All its comments, oldest first."""
        page, more = 1, True
        while more:
            path = f"issues/{self.number}/comments?per_page={PAGE}&page={page}"
            found, headers = self._request("GET", path)
            yield from found
            more = 'rel="next"' in headers.get("Link", "")
            page += 1

    def create(self, body: str) -> None:
        """Write a new comment."""
        self._request("POST", f"issues/{self.number}/comments", body)

    def edit(self, comment: int, body: str) -> None:
        """Give the comment with this id another text."""
        self._request("PATCH", f"issues/comments/{comment}", body)

    def _request(
        self, method: str, path: str, body: str | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """JSON and headers of the answer; OperatorError says what was refused."""
        request = urllib.request.Request(  # noqa: S310 the runner gives the URL
            f"{self.api}/repos/{self.repository}/{path}",
            None if body is None else json.dumps({"body": body}).encode(),
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            method=method,
        )
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer), dict(answer.headers)
        except HTTPError as error:
            hint = "; the job needs `pull-requests: write`" * (error.code == 403)
            raise OperatorError(
                f"{method} {path}: {error.code} {error.reason}{hint}"
            ) from error
        except OSError as error:
            raise OperatorError(
                f"{method} {path}: {error}; run the job again"
            ) from error


def write(pull_request: PullRequest, report: Path) -> str:
    """What became of the comment, in a few words.

    A report without changes gets no comment, but replaces one of an earlier run. A
    comment that says the same already is left alone.
    """
    body = f"{MARKER}\n{(report / 'compare.md').read_text()}"
    for comment in pull_request.comments():
        if comment["user"]["login"] == AUTHOR and comment["body"].startswith(MARKER):
            if _plain(comment["body"]) == _plain(body):
                return "The comment says this already."
            pull_request.edit(comment["id"], body)
            return "The comment is edited."
    if not json.loads((report / "compare.json").read_text())["changed"]:
        return "No comment: nothing changes."
    pull_request.create(body)
    return "The comment is written."


def _plain(body: str) -> str:
    """Without what hosts change in texts: ends of lines, and space around them."""
    return "\n".join(body.split("\r\n")).strip()


def main() -> int:
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary, epilog=rest)
    parser.add_argument("number", type=int, help="of the pull request")
    parser.add_argument("report", type=Path, metavar="DIR")
    given = parser.parse_args()
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
    api, repository, token = (os.environ.get(name, "") for name in names)
    if not (api and repository and token):
        parser.error(f"{', '.join(names)}: one of these variables is empty")
    try:
        print(write(PullRequest(api, repository, given.number, token), given.report))
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
