"""Collects rule files from labelled ConfigMaps and has Prometheus load them.

Runs beside Prometheus: lists and watches the ConfigMaps of its own namespace that carry
SELECTOR, writes their `*.yaml` entries into RULES_DIR (a volume that both share) and
asks Prometheus on loopback to reload. A file that promtool refuses would keep
Prometheus from loading all the others, so its last good version stays, or it is left
out, and an alert reports it.

`--healthy` exits 0 while the loop turns (for exec probes).

    NAMESPACE          namespace of the ConfigMaps (the pod's own)
    SELECTOR           label selector (slipway.dev/prometheus-rules=true)
    RULES_DIR          where the files go (/etc/prometheus/rules.d)
    RELOAD_URL         (http://127.0.0.1:9090/-/reload)
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pod_parts.api_client import REQUEST_SECONDS, WATCH_SECONDS, Api
from pod_parts.api_server import ACCOUNT, ApiError
from pod_parts.log import Log

NAME = "rules-reloader"
HEARTBEAT = ".heartbeat"
REFUSED_FILE = "rules-reloader.yaml"
RELOAD_ATTEMPTS = 30
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
SETTLE_SECONDS = 0.2
"""Several ConfigMaps of one deployment arrive together: one reload for all."""

log = Log(NAME)
stopped = threading.Event()


@dataclass(frozen=True)
class Config:
    """Source and destination of the rules."""

    namespace: str
    selector: str = "slipway.dev/prometheus-rules=true"
    folder: Path = Path("/etc/prometheus/rules.d")
    reload_url: str = "http://127.0.0.1:9090/-/reload"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        own = ACCOUNT / "namespace"
        return cls(
            namespace=environment.get("NAMESPACE") or own.read_text().strip(),
            selector=environment.get("SELECTOR", cls.selector),
            folder=Path(environment.get("RULES_DIR", str(cls.folder))),
            reload_url=environment.get("RELOAD_URL", cls.reload_url),
        )


def wanted(config_maps: list[dict[str, Any]]) -> dict[str, str]:
    """Content by file name; the name says which ConfigMap it comes from."""
    return {
        f"{item['metadata']['name']}--{re.sub(r'[^A-Za-z0-9._-]', '-', key)}": text
        for item in config_maps
        for key, text in (item.get("data") or {}).items()
        if key.endswith((".yaml", ".yml"))
    }


def write(path: Path, text: str) -> None:
    """Replaces the file in one step: Prometheus never reads half of one."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def problem(folder: Path, text: str) -> str:
    """Return promtool's error about a rule file; empty if there is none."""
    candidate = folder / ".candidate"
    candidate.write_text(text)
    try:
        done = subprocess.run(
            ["promtool", "check", "rules", str(candidate)],
            capture_output=True,
            text=True,
            check=False,
            timeout=REQUEST_SECONDS,
        )
    finally:
        candidate.unlink()
    return "" if done.returncode == 0 else (done.stderr + done.stdout).strip()[-500:]


def refused_alerts(refused: Mapping[str, str]) -> str:
    """A rule file with an alert that fires for each refused file (JSON is YAML)."""
    rules = [
        {
            "alert": "RulesRefused",
            "expr": "vector(1)",
            "labels": {"severity": "warning", "file": name},
            # Braces of the refused text are not a template of Prometheus.
            "annotations": {
                "summary": f"Rule file {name} is refused",
                "description": re.sub(r"[{}]", "", said),
            },
        }
        for name, said in sorted(refused.items())
    ]
    return json.dumps({"groups": [{"name": NAME, "rules": rules}]})


def synchronize(folder: Path, files: Mapping[str, str]) -> bool:
    """Makes the folder hold exactly the usable files; True if anything changed."""
    current = {path.name: path.read_text() for path in folder.glob("*.y*ml")}
    refused = {
        name: said
        for name, text in files.items()
        if current.get(name) != text and (said := problem(folder, text))
    }
    target = {
        name: current[name] if name in refused else text
        for name, text in files.items()
        if name not in refused or name in current
    }
    if refused:
        target[REFUSED_FILE] = refused_alerts(refused)
    for name, said in refused.items():
        log(f"refused {name}: {said}", level="error")
    for name in current.keys() - target.keys():
        (folder / name).unlink()
    changed = {name for name, text in target.items() if current.get(name) != text}
    for name in changed:
        write(folder / name, target[name])
    return bool(changed or current.keys() - target.keys())


def reload(url: str) -> bool:
    """Has Prometheus read the files; it may still be starting, so it is asked again."""
    parts = urllib.parse.urlsplit(url)
    said = ""
    for _ in range(RELOAD_ATTEMPTS):
        connection = http.client.HTTPConnection(parts.netloc, timeout=REQUEST_SECONDS)
        try:
            connection.request("POST", parts.path)
            response = connection.getresponse()
            said = response.read(500).decode(errors="replace").strip()
            if response.status == http.client.OK:
                return True
        except OSError as error:
            said = str(error)
        finally:
            connection.close()
        if stopped.wait(1.0):
            return False
    log(f"Prometheus did not reload: {said}", level="error")
    return False


def wait_for_change(api: Api, path: str, version: str, selector: str) -> None:
    """Return at the first change after `version`, or when the watch ends."""
    with closing(api.watch(path, version, selector)) as events:
        for kind, _ in events:
            if kind != "BOOKMARK":
                return


def run(config: Config) -> None:
    """Keeps the folder as the ConfigMaps say until SIGTERM."""
    config.folder.mkdir(parents=True, exist_ok=True)
    api = Api.of_cluster(os.environ, NAME)
    path = f"/api/v1/namespaces/{config.namespace}/configmaps"
    failures = 0
    pending = False
    while not stopped.is_set():
        (config.folder / HEARTBEAT).touch()
        try:
            items, version = api.list(path, config.selector)
            pending = synchronize(config.folder, wanted(items)) or pending
            if pending and reload(config.reload_url):
                log(f"{len(wanted(items))} rule files loaded")
                pending = False
            failures = 0
            wait_for_change(api, path, version, config.selector)
            stopped.wait(SETTLE_SECONDS)
        except (ApiError, OSError, ValueError, subprocess.TimeoutExpired) as error:
            pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            failures += 1
            log(f"{error}; again in {pause:.0f} s", level="warning")
            stopped.wait(pause)


def healthy(config: Config) -> bool:
    """Return whether the loop has run recently."""
    heartbeat = config.folder / HEARTBEAT
    limit = 2 * WATCH_SECONDS + 2 * REQUEST_SECONDS + RELOAD_ATTEMPTS
    return heartbeat.is_file() and time.time() - heartbeat.stat().st_mtime < limit


def main(arguments: list[str]) -> int:
    config = Config.from_environment(os.environ)
    if "--healthy" in arguments:
        return 0 if healthy(config) else 1
    # As process 1 there is no default action for SIGTERM. A watch may be waiting in a
    # system call: leaving at once loses nothing.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
