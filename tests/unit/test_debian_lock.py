"""Pinned Debian packages: the committed file, where archives come from, renewal."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from slipway.images import (
    ImageError,
    debian_archive,
    debian_lock,
    debian_renewal,
    supply_commands,
)
from slipway.images.debian_lock import Pin, section
from slipway.images.inputs import Debian, RootFs
from slipway.images.rootfs import ALWAYS, SUITE
from slipway.images.table import images
from toolchain import commands, packages
from toolchain.errors import OperatorError
from toolchain.mirror import DebianMirror

CONTENT = b"an archive"
PIN = Pin(
    "libx", "1:2-3", hashlib.sha256(CONTENT).hexdigest(), "pool/main/x/libx_2-3_all.deb"
)


@pytest.mark.parametrize("architecture", debian_renewal.ARCHITECTURES)
def test_every_package_in_our_images_is_pinned(architecture: str) -> None:
    held = debian_lock.read()
    for image in images().values():
        for source in image.inputs.values():
            if isinstance(source, Debian):
                pins = held[section(source.suite, architecture)]
                assert source.package in {pin.name for pin in pins}, image.name
            if isinstance(source, RootFs):
                pins = held[section(source.suite, architecture, source.rootfs)]
                names = {pin.name for pin in pins}
                assert names >= {*source.rootfs, *ALWAYS, "libc6", "dpkg"}, image.name


def test_every_pin_is_whole_and_from_debian() -> None:
    for heading, pins in debian_lock.read().items():
        assert len(pins) == len({pin.name for pin in pins}), heading
        for pin in pins:
            assert len(bytes.fromhex(pin.sha256)) == 32, pin
            assert pin.path.startswith(("pool/main/", "pool/updates/main/")), pin
            assert unquote(pin.path).rpartition("/")[2].startswith(f"{pin.name}_"), pin


def test_what_is_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian_lock, "FILE", tmp_path / "debian.lock")
    lock = {section("bookworm", "amd64"): (PIN,)}
    debian_lock.write(lock, "20261129T000000Z")
    assert debian_lock.read() == lock
    assert debian_lock.day() == "20261129T000000Z"
    monkeypatch.undo()
    debian_lock.read.cache_clear()


@pytest.mark.parametrize(
    "text", ["[a b]\nlibx=1 pool/x.deb", "[a b]\nlibx=1=ab", "libx=1=ab pool/x.deb"]
)
def test_a_line_that_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match=r"debian\.lock:\d: .* is not a pin; .*renew"):
        debian_lock.parse(text)


def test_an_architecture_without_pins_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolchain.downloads.architecture", lambda: "riscv64")
    with pytest.raises(ImageError, match=r"no section \[trixie riscv64\]; .*renew"):
        Debian("trixie/prometheus", "usr").identity()


class Archive(BaseHTTPRequestHandler):
    """Answers with what `held` has for a path; notes what it was asked."""

    held: dict[str, bytes]
    asked: list[str]
    failures: list[int]
    """What is answered first, whatever is asked."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.held.get(self.path)
        found = 404 if content is None else 200
        self.send_response(self.failures.pop(0) if self.failures else found)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Archive]]:
    """A mirror and a history of Debian on loopback, which hold nothing."""
    Archive.held, Archive.asked, Archive.failures = {}, [], []
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(debian_archive, "PAUSES_SECONDS", (0.01, 0.01))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian_lock, "day", lambda: "20261129T000000Z")
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        at = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv(debian_archive.MIRROR_VARIABLE, f"{at}/debian/")
        monkeypatch.setenv(debian_archive.SNAPSHOT_VARIABLE, f"{at}/history")
        yield Archive
        server.shutdown()
        thread.join()


HISTORY = f"/history/debian/20261129T000000Z/{PIN.path}"


def test_an_archive_is_fetched_once_from_the_mirror(archive: type[Archive]) -> None:
    archive.held = {f"/debian/{PIN.path}": CONTENT}
    (file,) = debian_archive.fetch([PIN])
    assert file.read_bytes() == CONTENT
    assert debian_archive.fetch([PIN]) == [file]
    assert archive.asked == [f"/debian/{PIN.path}"]
    assert debian_archive.missing([PIN]) == ([], [])


def test_what_the_mirror_has_no_longer_comes_from_debians_history(
    archive: type[Archive],
) -> None:
    archive.held = {HISTORY: CONTENT}
    assert debian_archive.missing([PIN]) == ([], [])
    (file,) = debian_archive.fetch([PIN])
    assert file.read_bytes() == CONTENT


def test_security_updates_have_an_archive_of_their_own(archive: type[Archive]) -> None:
    pin = Pin(PIN.name, PIN.version, PIN.sha256, "pool/updates/main/x/libx.deb")
    archive.held = {f"/debian-security/{pin.path}": CONTENT}
    debian_archive.fetch([pin])
    old = "/history/debian-security/20261129T000000Z/"
    assert old in list(debian_archive.addresses(pin))[1]


def test_another_file_than_the_pinned_one_is_never_used(archive: type[Archive]) -> None:
    archive.held = {f"/debian/{PIN.path}": b"another"}
    with pytest.raises(ImageError) as caught:
        debian_archive.fetch([PIN])
    said = str(caught.value)
    assert "`slipway images renew`" in said
    assert "libx 1:2-3: " in said
    assert f"{PIN.sha256} is pinned" in said
    assert f"{HISTORY}: 404" in said
    assert not debian_archive._file(debian_archive._folder(), PIN).exists()


def test_what_nobody_has_is_missing(archive: type[Archive]) -> None:
    assert debian_archive.missing([PIN]) == (["libx"], [])


def test_a_failure_that_passes_is_none(archive: type[Archive]) -> None:
    archive.held, archive.failures = {f"/debian/{PIN.path}": CONTENT}, [503, 429]
    assert debian_archive.missing([PIN]) == ([], [])
    archive.failures = [500, 502]
    assert debian_archive.fetch([PIN])[0].read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 503])
def test_what_a_place_does_not_say_is_not_gone(
    archive: type[Archive], status: int
) -> None:
    archive.failures = [status] * 9
    gone, (reason,) = debian_archive.missing([PIN])
    assert gone == []
    assert reason.startswith("libx 1:2-3: http://127.0.0.1:")
    assert str(status) in reason


def test_a_mirror_without_a_connection_says_nothing_about_what_is_gone(
    archive: type[Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debian_archive.SNAPSHOT_VARIABLE, "http://127.0.0.1:9/history")
    # The mirror lacks it, and there is no way to another place.
    assert debian_archive.missing([PIN]).gone == ["libx"]
    monkeypatch.setenv(debian_archive.MIRROR_VARIABLE, "http://127.0.0.1:9/debian")
    assert debian_archive.missing([PIN]).gone == []
    assert archive.asked == [f"/debian/{PIN.path}"]


def test_an_apt_of_ubuntu_leaves_debians_public_archive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_ubuntu() -> DebianMirror:
        raise OperatorError("no Debian archive")

    monkeypatch.delenv(debian_archive.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(packages, "has_apt", lambda: True)
    monkeypatch.setattr(DebianMirror, "of_this_machine", of_ubuntu)
    assert debian_archive.mirror()[0] == debian_archive.PUBLIC


def test_two_at_once_unpack_one_after_the_other(
    archive: type[Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.held = {f"/debian/{PIN.path}": CONTENT}
    extracted: list[Path] = []

    def extract(words: list[str | Path]) -> str:
        folder = Path(words[3])
        folder.mkdir()
        extracted.append(folder)
        time.sleep(0.3)
        (folder / "x").touch()
        return ""

    monkeypatch.setattr(packages, "_architecture", lambda: "amd64")
    monkeypatch.setattr(commands, "run", extract)
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(debian_archive.unpack, PIN, "trixie") for _ in range(2)]
        folders = {call.result() for call in calls}
    assert len(extracted) == len(folders) == 1
    assert (folders.pop() / "x").is_file()


class Renewal:
    """`slipway images renew` with one pin here, and another that apt finds."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self.forgotten = file, set[tuple[str, str]]()
        self.newest = Pin("libx", "1:3", PIN.sha256, "pool/main/x/libx_3_all.deb")
        file.write_text(f"{debian_lock.HEAD}20261129T000000Z.\n\n[a]\n{PIN}\n")
        self.before = file.read_text()
        monkeypatch.setattr(debian_lock, "FILE", file)
        debian_lock.read.cache_clear()
        of = {"a": (self.newest,)}
        monkeypatch.setattr(packages, "has_apt", lambda: True)
        monkeypatch.setattr(
            packages, "forget_lists", lambda *which: self.forgotten.add(which)
        )
        monkeypatch.setattr(debian_renewal, "_single", lambda _: of)
        monkeypatch.setattr(debian_renewal, "_systems", lambda _: {})
        monkeypatch.setattr(debian_renewal, "_all_here", lambda: [PIN])

    def run(self, *options: str) -> tuple[int, str, bool]:
        """Exit status, output, whether the file is as before."""
        done = CliRunner().invoke(supply_commands.renew_command, options)
        said = done.output + (str(done.exception) if done.exception else "")
        return done.exit_code, said, self.file.read_text() == self.before


@pytest.fixture
def renewal(
    archive: type[Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Renewal]:
    yield Renewal(tmp_path / "debian.lock", monkeypatch)
    monkeypatch.undo()
    debian_lock.read.cache_clear()


def test_what_is_gone_is_pinned_anew_by_fresh_lists(
    archive: type[Archive], renewal: Renewal
) -> None:
    archive.held = {f"/debian/{renewal.newest.path}": CONTENT}
    status, said, is_as_before = renewal.run("--if-gone")
    assert (status, is_as_before) == (0, False)
    assert "no longer to be had: libx" in said
    assert "libx 1:2-3 -> 1:3" in said
    for architecture in debian_renewal.ARCHITECTURES:
        assert (SUITE, architecture) in renewal.forgotten


def test_what_apt_names_and_the_mirror_lacks_is_never_pinned(renewal: Renewal) -> None:
    status, said, is_as_before = renewal.run()
    assert (status, is_as_before) == (1, True)
    assert "does not have: libx" in said
    status, said, is_as_before = renewal.run("--if-gone")
    assert (status, is_as_before) == (0, True)
    assert "not renewed, the pins are kept: apt names" in said


def test_pins_are_kept_where_nobody_knows_whether_they_are_gone(
    archive: type[Archive], renewal: Renewal
) -> None:
    archive.failures = [503] * 9
    status, said, is_as_before = renewal.run("--if-gone")
    assert (status, is_as_before) == (0, True)
    assert "answers 503" in said
    assert "the pins are kept; nothing was changed" in said


def test_a_machine_without_debians_apt_keeps_the_pins(
    renewal: Renewal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "has_apt", lambda: False)
    status, said, is_as_before = renewal.run("--if-gone")
    assert (status, is_as_before) == (0, True)
    assert "not renewed, the pins are kept: the newest packages are found by" in said


def test_lists_that_are_forgotten_are_asked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        DebianMirror, "of_this_machine", lambda: DebianMirror("http://m.test", "")
    )

    def run(words: list[str], **_: float) -> str:
        ran.append(words)
        return ""

    monkeypatch.setattr(commands, "run", run)
    for _ in range(2):
        packages.available("trixie", "arm64")
    assert [words[-1] for words in ran].count("update") == 1
    packages.forget_lists("trixie", "arm64")
    packages.available("trixie", "arm64")
    assert [words[-1] for words in ran].count("update") == 2


def test_a_renewal_says_what_changed() -> None:
    old = {"a": (PIN, Pin("gone", "1", "", ""))}
    new = {"a": (Pin("libx", "1:3", "", ""), Pin("new", "2", "", ""))}
    assert debian_renewal.changes(old, new) == {
        "a": ["gone 1 -> (none)", "libx 1:2-3 -> 1:3", "new (none) -> 2"]
    }
    assert debian_renewal.changes(new, new) == {}


def test_a_version_has_its_epoch_from_apts_name_of_the_file() -> None:
    archive = packages.Archive(
        "http://d/pool/libx_2-3_all.deb", "libx_1%3a2-3_all.deb", ""
    )
    assert archive.name_and_version == ("libx", "1:2-3")


def test_a_place_that_does_not_answer_is_asked_once(
    archive: type[Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debian_archive.MIRROR_VARIABLE, "http://127.0.0.1:9/debian")
    with debian_archive._Places() as places:
        first = places.ask("HEAD", "http://127.0.0.1:9/a")
        monkeypatch.setattr(places._client, "request", None)
        assert places.ask("HEAD", "http://127.0.0.1:9/b") == first
    archive.held = {HISTORY: CONTENT}
    (file,) = debian_archive.fetch([PIN])
    assert file.read_bytes() == CONTENT
