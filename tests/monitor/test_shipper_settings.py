"""Settings: the table, and every problem at once."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
from log_shipper.addresses import FolderAddress, HttpAddress, S3Address, parse
from log_shipper.settings import VARIABLES, SettingsError, read

from toolchain import paths

README = (paths.ROOT / "images/log_shipper/README.md").read_text()


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(environment)
    return [str(problem) for problem in caught.value.problems]


def test_defaults_and_values(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    found = read(
        {
            "LOG_SHIPPER_FOLDER": str(tmp_path),
            "LOG_SHIPPER_SINK": "http://monitor:8080/base/",
            "LOG_SHIPPER_TOKEN_FILE": str(token),
            "LOG_SHIPPER_DRAIN_SECONDS": "2.5",
            "PATH": "/bin",
        }
    )
    assert found.folder == tmp_path
    assert found.sink == HttpAddress(False, "monitor", 8080, "/base")
    assert found.token_file == token
    assert found.ca_file is None
    assert found.drain_seconds == 2.5
    assert (found.poll_seconds, found.port, found.refused_bytes) == (1, 9102, 67108864)
    assert list(tmp_path.iterdir()) == [token], "the probe is deleted"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("folder:/store", FolderAddress(Path("/store"))),
        ("http://h", HttpAddress(False, "h", 80, "")),
        ("https://a.b-c.example:1/x/y", HttpAddress(True, "a.b-c.example", 1, "/x/y")),
        ("https://[fd00::1]", HttpAddress(True, "fd00::1", 443, "")),
        ("s3://my.bucket-1", S3Address("my.bucket-1", "")),
        ("s3://bucket/", S3Address("bucket", "")),
        ("s3://bucket/a/b=c/", S3Address("bucket", "a/b=c/")),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not set"),
        ("store", "names no kind"),
        ("ftp://h", "'ftp' is not a kind"),
        ("folder:store", "not an absolute path"),
        ("folder:", "not an absolute path"),
        ("http://", "names no host"),
        ("http:/h", "names no host"),
        ("http://a..b", "names no host"),
        ("http://h ost", "names no host"),
        ("http://h:port", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://h/?a=b", "more than host, port and path"),
        ("http://h/a b", "more than host, port and path"),
        ("s3:bucket", "names no bucket"),
        ("s3://B_", "names no bucket"),
        ("s3://bucket/a//b", "has a prefix"),
        ("s3://bucket/" + "a" * 200 + "?", "has a prefix"),
    ],
)
def test_wrong_addresses(text: str, reason: str, tmp_path: Path) -> None:
    (told,) = problems({"LOG_SHIPPER_FOLDER": str(tmp_path), "LOG_SHIPPER_SINK": text})
    assert told.startswith(f"LOG_SHIPPER_SINK={text!r}: ")
    assert reason in told


PROBLEMS = """\
LOG_SHIPPER_TOKEN='(not shown)': no such variable; remove it, or correct its name
LOG_SHIPPER_FOLDER='/none/log': cannot be written: [Errno 2] No such file or \
directory: '/none/log/.log-shipper'; mount the model server's log folder there, \
writable for this user
LOG_SHIPPER_TOKEN_FILE='/none/token': cannot be read: [Errno 2] No such file or \
directory: '/none/token'; mount the file there, readable for this user, or unset it
LOG_SHIPPER_POLL_SECONDS='often': is not a number; unset it or give one
LOG_SHIPPER_DRAIN_SECONDS='nan': is out of range; give a number between 0 and 3600
LOG_SHIPPER_REFUSED_BYTES='1.5': is not a whole number; unset it or give one
LOG_SHIPPER_PORT='65536': is out of range; give a number between 0 and 65535
LOG_SHIPPER_TOKEN_FILE='/none/token': is not used by this sink; unset it
LOG_SHIPPER_SINK='folder:/none/log': is the folder of the log itself, \
LOG_SHIPPER_FOLDER; give the folder of a volume that the monitor reads
LOG_SHIPPER_RETRY_SECONDS='61': is more than LOG_SHIPPER_RETRY_MAX_SECONDS=60; lower \
the first or raise the second
LOG_SHIPPER_HOST='': is empty; unset it to listen everywhere
"""


def test_all_problems_are_reported_together() -> None:
    told = problems(
        {
            "LOG_SHIPPER_FOLDER": "/none/log",
            "LOG_SHIPPER_SINK": "folder:/none/log",
            "LOG_SHIPPER_TOKEN_FILE": "/none/token",
            "LOG_SHIPPER_CA_FILE": "",
            "LOG_SHIPPER_POLL_SECONDS": "often",
            "LOG_SHIPPER_DRAIN_SECONDS": "nan",
            "LOG_SHIPPER_RETRY_SECONDS": "61",
            "LOG_SHIPPER_PORT": "65536",
            "LOG_SHIPPER_REFUSED_BYTES": "1.5",
            "LOG_SHIPPER_HOST": "",
            "LOG_SHIPPER_TOKEN": "secret",
        }
    )
    assert told == PROBLEMS.splitlines()


def test_a_read_only_folder_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "touch", read_only)
    (told,) = problems(
        {"LOG_SHIPPER_FOLDER": str(tmp_path), "LOG_SHIPPER_SINK": "folder:/store"}
    )
    assert told.startswith(f"LOG_SHIPPER_FOLDER='{tmp_path}': cannot be written: ")
    assert "Read-only file system" in told
    assert "mount the model server's log folder there, writable" in told


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    (told,) = problems(
        {
            "LOG_SHIPPER_FOLDER": str(tmp_path),
            "LOG_SHIPPER_SINK": "http://user:hunter2@monitor",
        }
    )
    assert "hunter2" not in told
    assert "LOG_SHIPPER_TOKEN_FILE" in told


def test_the_readme_has_every_setting() -> None:
    rows = re.findall(r"(?m)^\| `LOG_SHIPPER_(\w+)` \| (.*?) \| (.*) \|$", README)
    assert rows == [
        (
            variable.name,
            f"`{variable.default}`" if variable.default != "" else "",
            variable.meaning,
        )
        for variable in VARIABLES
    ]
