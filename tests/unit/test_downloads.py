"""Programs from publishers on loopback: the right ones, and every way to fail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import publishers
from tests.support.publishers import Publishers
from toolchain import builds, downloads
from toolchain.downloads import Download, DownloadError, NoAnswerError

EACH = Download(
    url="https://dl.example/{version}/{architecture}/{binary}",
    checksums="https://dl.example/{version}/{architecture}/{binary}.sha256",
)
ARCHIVE = Download(
    url="https://get.example/tool-{version}-linux-{x64}.tar.gz",
    checksums="https://lists.example/{version}/checksums.txt",
)
PROGRAMS = {"one": b"the first program", "two": b"the second program" * 10}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishers]:
    with publishers.serve() as found:
        monkeypatch.setenv(downloads.MIRROR_VARIABLE, found.address)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "bin"
    target.mkdir()
    return target


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def expand(text: str) -> str:
    return text.replace("{version}", "v1.2.3")


def url(name: str) -> str:
    return f"dl.example/v1.2.3/{downloads.architecture()}/{name}"


def archive_url() -> str:
    x64 = {"amd64": "x64"}.get(downloads.architecture(), downloads.architecture())
    return f"get.example/tool-v1.2.3-linux-{x64}.tar.gz"


def publish_each(of: Publishers) -> None:
    for name, content in PROGRAMS.items():
        of.publish(url(name), content)
        of.publish(url(f"{name}.sha256"), f"{sha256(content)}\n".encode())


def publish_archive(of: Publishers) -> None:
    files = {f"tool/{name}": content for name, content in PROGRAMS.items()}
    content = publishers.tar({"tool/LICENSE": b"", **files})
    of.publish(archive_url(), content)
    name = archive_url().rpartition("/")[2]
    lines = f"{'0' * 64}  other.tar.gz\n{sha256(content)} *{name}\n"
    of.publish("lists.example/v1.2.3/checksums.txt", lines.encode())


def fetch(download: Download, folder: Path, said: list[str] | None = None) -> None:
    say = (lambda _: None) if said is None else said.append
    downloads.fetch(download, tuple(PROGRAMS), expand, folder, say)


def held(folder: Path) -> dict[str, bytes]:
    assert all(path.stat().st_mode & 0o111 for path in folder.iterdir())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_programs_one_by_one(published: Publishers, folder: Path) -> None:
    publish_each(published)
    fetch(EACH, folder)
    assert held(folder) == PROGRAMS


def test_programs_of_an_archive(published: Publishers, folder: Path) -> None:
    publish_archive(published)
    fetch(ARCHIVE, folder)
    assert held(folder) == PROGRAMS


def test_a_release_that_moved_to_another_host(
    published: Publishers, folder: Path
) -> None:
    publish_archive(published)
    published.files["cdn.example/x"] = published.files.pop(archive_url())
    published.moved[archive_url()] = "cdn.example/x"
    fetch(ARCHIVE, folder)
    assert held(folder) == PROGRAMS


@pytest.mark.parametrize("host", ["registry.example", "docker.io"])
def test_programs_of_an_image(published: Publishers, folder: Path, host: str) -> None:
    files = {f"usr/local/bin/{name}": content for name, content in PROGRAMS.items()}
    image = published.publish_image(f"{host}/some/tool:v1.2.3", files)
    published.locked.add(downloads.HOSTS_OF_REGISTRIES.get(host, host))
    fetch(Download(image=image), folder)
    assert held(folder) == PROGRAMS
    assert len([path for path in published.asked if "/token?" in path]) == 1


def test_an_image_whose_layer_is_another(published: Publishers, folder: Path) -> None:
    image = published.publish_image("r.example/a/b:v1", {"one": b"1", "two": b"2"})
    for path in [path for path in published.files if "/blobs/" in path]:
        published.files[path] = publishers.tar({"one": b"bad", "two": b"bad"})
    with pytest.raises(DownloadError, match=r"blobs/sha256:\w+ has sha256 \w+, but"):
        fetch(Download(image=image), folder)
    assert held(folder) == {}


def test_an_image_whose_manifest_is_another(
    published: Publishers, folder: Path
) -> None:
    image = published.publish_image("r.example/a/b:v1", PROGRAMS)
    other = published.publish_image("r.example/a/b:v2", {"one": b"1", "two": b"2"})
    first, second = (
        f"r.example/v2/a/b/manifests/{reference.partition('@')[2]}"
        for reference in (image, other)
    )
    published.files[first] = published.files[second]
    with pytest.raises(DownloadError, match=r"has digest sha256:\w+; it was not used"):
        fetch(Download(image=image), folder)
    assert held(folder) == {}


def test_an_image_without_this_architecture(
    published: Publishers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = published.publish_image("r.example/a/b:v1", PROGRAMS)
    monkeypatch.setattr(downloads, "architecture", lambda: "riscv64")
    with pytest.raises(DownloadError, match="nothing for linux on riscv64"):
        fetch(Download(image=image), folder)


@pytest.mark.parametrize("download", [EACH, ARCHIVE])
def test_a_wrong_checksum(
    published: Publishers, folder: Path, download: Download
) -> None:
    publish_each(published)
    publish_archive(published)
    for path in (url("one"), archive_url()):
        published.files[path] += b"!"
    with pytest.raises(DownloadError) as error:
        fetch(download, folder)
    assert "but its publisher lists" in str(error.value)
    assert str(error.value).endswith("it was not used")
    assert held(folder) == {}


def test_a_list_without_the_file(published: Publishers, folder: Path) -> None:
    publish_archive(published)
    published.files["lists.example/v1.2.3/checksums.txt"] = b"<html>log in</html>"
    with pytest.raises(DownloadError, match=r"checksums\.txt has no sha256 of tool-"):
        fetch(ARCHIVE, folder)
    assert not any(path.startswith("get.example") for path in published.asked)


def test_a_release_without_one_of_the_programs(
    published: Publishers, folder: Path
) -> None:
    publish_archive(published)
    with pytest.raises(DownloadError, match="has no three"):
        downloads.fetch(ARCHIVE, ("one", "three"), expand, folder, lambda _: None)


def test_what_is_no_archive(published: Publishers, folder: Path) -> None:
    published.publish(archive_url(), b"not a tar")
    name = archive_url().rpartition("/")[2]
    lists = f"{sha256(b'not a tar')}  {name}".encode()
    published.publish("lists.example/v1.2.3/checksums.txt", lists)
    with pytest.raises(DownloadError, match="is not a readable archive"):
        fetch(ARCHIVE, folder)


def test_what_is_not_there(published: Publishers, folder: Path) -> None:
    with pytest.raises(DownloadError, match=r"one\.sha256 answers 404"):
        fetch(EACH, folder)


def test_cut_off_once_is_fetched_again(published: Publishers, folder: Path) -> None:
    publish_each(published)
    published.cut_off[url("two")] = 1
    said: list[str] = []
    fetch(EACH, folder, said)
    assert held(folder) == PROGRAMS
    assert said == [f"https://{url('two')} was cut off, trying again"]


def test_cut_off_again_and_again(published: Publishers, folder: Path) -> None:
    publish_each(published)
    published.cut_off[url("two")] = 9
    with pytest.raises(DownloadError, match=f"{url('two')} was cut off: "):
        fetch(EACH, folder)
    assert published.asked.count(url("two")) == downloads.ATTEMPTS
    assert set(held(folder)) <= {"one"}


def test_a_host_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publishers.serve() as gone:
        monkeypatch.setenv(downloads.MIRROR_VARIABLE, gone.address)
    with pytest.raises(NoAnswerError, match=r"^dl\.example does not answer \("):
        fetch(EACH, folder)


def test_a_host_that_says_nothing(
    published: Publishers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.2)
    publish_each(published)
    published.silent.add(url("one.sha256"))
    with pytest.raises(NoAnswerError, match=r"^dl\.example does not answer \("):
        fetch(EACH, folder)


def test_a_host_that_is_slow(
    published: Publishers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PACE_SECONDS", 0.2)
    monkeypatch.setattr(downloads, "FILE_SECONDS", 2.0)
    publish_each(published)
    published.slow.add(url("two"))
    with pytest.raises(DownloadError, match=f"{url('two')} is slow: 0.0 MB in 0 s"):
        fetch(EACH, folder)
    assert set(held(folder)) == {"one"}


def test_no_more_is_read_than_a_list_may_have(
    published: Publishers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TEXT_BYTES", 20)
    publish_each(published)
    with pytest.raises(DownloadError, match="is larger than 20 bytes"):
        fetch(EACH, folder)


@pytest.mark.parametrize("name", [n for n, g in builds.groups().items() if g.download])
def test_what_is_offered_is_pinned_as_what_is_built(name: str) -> None:
    group = builds.group(name)
    offer = Download(**group.download)
    if offer.image:
        reference, _, digest = offer.image.partition("@sha256:")
        assert reference.rpartition(":")[2] == group.version()
        assert len(digest) == 64
        return
    for text in (offer.url, offer.checksums):
        filled = downloads._filled(group.expand(text), "program")
        assert group.version().removeprefix("v") in filled
        assert filled.startswith("https://")
        assert "{" not in filled
