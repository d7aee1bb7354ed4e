"""The entry point of the HDFS image: which process starts, by what arguments."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hdfs_entry import __main__ as entry
from hdfs_entry import commands

from toolchain import paths

FOLDER = paths.ROOT / "images" / "hdfs"
DISK = 100 * 2**30
JAVA = {
    "HDFS_HEAP_MIB": "512",
    "HDFS_CLASSES": "/app:/app/jars/*",
}


def properties(words: list[str]) -> dict[str, str]:
    given = [words[at + 1] for at, word in enumerate(words) if word == "-D"]
    return dict(text.split("=", 1) for text in given)


def test_a_namenode_serves_on_all_addresses_and_knows_its_folder() -> None:
    words = commands.of(["namenode"], JAVA, DISK)
    assert words[0] == "/usr/lib/jvm/default/bin/java"
    assert words[1:4] == [
        "-Xmx512m",
        "-XX:+ExitOnOutOfMemoryError",
        "-Dhdfs.level=INFO",
    ]
    assert words[words.index("-cp") + 1] == "/etc/slipway-hdfs:/app:/app/jars/*"
    assert "org.apache.hadoop.hdfs.server.namenode.NameNode" in words
    assert properties(words) == {
        "dfs.namenode.name.dir": "file:///hdfs/names",
        "dfs.namenode.rpc-bind-host": "0.0.0.0",
    }


@pytest.mark.parametrize(
    ("capacity", "reserved"), [("1024", 99 * 2**30), ("999999", 0)]
)
def test_a_datanode_leaves_what_is_not_its_own(capacity: str, reserved: int) -> None:
    words = commands.of(["datanode"], {**JAVA, "HDFS_CAPACITY_MIB": capacity}, DISK)
    assert properties(words) == {
        "dfs.datanode.data.dir": "file:///hdfs/blocks",
        "dfs.datanode.du.reserved": str(reserved),
    }


def test_roots_part_of_a_disk_is_not_reserved_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = SimpleNamespace(f_frsize=4096, f_blocks=1000, f_bfree=600, f_bavail=550)
    monkeypatch.setattr(os, "statvfs", lambda _: sizes)
    assert entry.disk_bytes({}) == 950 * 4096


def test_hadoops_commands_are_small_say_warnings_and_take_arguments() -> None:
    words = commands.of(["dfs", "-ls", "/"], JAVA, DISK)
    assert "-Xmx64m" in words
    assert words[-3:] == ["org.apache.hadoop.fs.FsShell", "-ls", "/"]
    assert "-Dhdfs.level=WARN" in words


def test_another_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["yarn"]):
        with pytest.raises(SystemExit) as caught:
            entry.main(arguments, {"HDFS_FOLDER": "/"})
        assert caught.value.code == os.EX_USAGE
    assert "'yarn' is not one of namenode, datanode, dfs" in capsys.readouterr().err


def test_names_are_made_once_and_appear_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def format_it(words: list[str], **_: Any) -> None:
        seen.append(words)
        part = Path(properties(words)["dfs.namenode.name.dir"].removeprefix("file://"))
        assert not part.exists()
        (part / "current").mkdir(parents=True)
        assert not (tmp_path / "names").exists()

    monkeypatch.setattr(entry.subprocess, "run", format_it)
    (tmp_path / "names.part").mkdir()
    (tmp_path / "names.part" / "unfinished").touch()
    environment = {**JAVA, "HDFS_CLUSTER_ID": "CID-lab"}
    entry.prepare(tmp_path / "names", environment)
    entry.prepare(tmp_path / "names", environment)
    (words,) = seen
    assert words[-5:] == [
        "-format",
        "-nonInteractive",
        "-force",
        "-clusterid",
        "CID-lab",
    ]
    assert [it.name for it in tmp_path.iterdir()] == ["names"]
    assert (tmp_path / "names" / "current").is_dir()


def test_the_image_has_what_the_commands_name() -> None:
    text = (FOLDER / "Containerfile").read_text()
    assert "COPY jars/ /app/jars/" in text
    assert "COPY log4j.properties /app/" in text
    assert 'ENTRYPOINT ["python3", "-m", "hdfs_entry"]' in text
    level = "${hdfs.level}"
    assert level in (FOLDER / "log4j.properties").read_text()
