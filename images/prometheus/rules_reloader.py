"""Collects rule files from labelled ConfigMaps and has Prometheus load them.

Runs beside Prometheus: lists and watches the ConfigMaps of its own namespace that carry
SELECTOR, writes their `*.yaml` entries into RULES_DIR (a volume that both share) and
asks Prometheus on loopback to reload. A file that promtool refuses would keep
Prometheus from loading all the others, so its last good version stays, or it is left
out, and an alert reports it.

Standard library only. `--healthy` exits 0 while the loop turns (for exec probes).

    NAMESPACE          namespace of the ConfigMaps (the pod's own)
    SELECTOR           label selector (slipway.dev/prometheus-rules=true)
    RULES_DIR          where the files go (/etc/prometheus/rules.d)
    RELOAD_URL         (http://127.0.0.1:9090/-/reload)
    WATCH_SECONDS      a watch is renewed after so long (60)
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import logging
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HEARTBEAT = ".heartbeat"
REFUSED_FILE = "rules-reloader.yaml"
RELOAD_ATTEMPTS = 30
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
SETTLE_SECONDS = 0.2
"""Several ConfigMaps of one deployment arrive together: one reload for all."""
TIMEOUT_SECONDS = 10.0

log = logging.getLogger("rules-reloader")
stopped = threading.Event()


@dataclass(frozen=True)
class Config:
    """Source and destination of the rules."""

    namespace: str
    selector: str = "slipway.dev/prometheus-rules=true"
    folder: Path = Path("/etc/prometheus/rules.d")
    reload_url: str = "http://127.0.0.1:9090/-/reload"
    watch_seconds: int = 60

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        own = ACCOUNT / "namespace"
        return cls(
            namespace=environment.get("NAMESPACE") or own.read_text().strip(),
            selector=environment.get("SELECTOR", cls.selector),
            folder=Path(environment.get("RULES_DIR", str(cls.folder))),
            reload_url=environment.get("RELOAD_URL", cls.reload_url),
            watch_seconds=int(environment.get("WATCH_SECONDS", cls.watch_seconds)),
        )


class Api:
    """The API server, as the pod's service account may use it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))

    def get(self, seconds: float, **query: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(
            os.environ["KUBERNETES_SERVICE_HOST"],
            int(os.environ.get("KUBERNETES_SERVICE_PORT", "443")),
            timeout=seconds,
            context=self.tls,
        )
        # Read each time: the kubelet renews the token.
        token = (ACCOUNT / "token").read_text().strip()
        selected = {"labelSelector": self.config.selector, **query}
        connection.request(
            "GET",
            f"/api/v1/namespaces/{self.config.namespace}/configmaps?"
            + urllib.parse.urlencode(selected),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        )
        response = connection.getresponse()
        if response.status != http.client.OK:
            text = response.read(500).decode(errors="replace")
            raise OSError(f"the API server answered {response.status}: {text}")
        return response

    def list(self) -> tuple[list[dict[str, Any]], str]:
        """The ConfigMaps and the version of the list."""
        with self.get(TIMEOUT_SECONDS) as response:
            answer = json.load(response)
        return answer["items"], answer["metadata"]["resourceVersion"]

    def wait_for_change(self, version: str) -> None:
        """Returns at the first change after `version`, or when the watch ends."""
        seconds = self.config.watch_seconds
        query = {"watch": "true", "resourceVersion": version}
        query["timeoutSeconds"] = str(seconds)
        with self.get(seconds + TIMEOUT_SECONDS, **query) as response:
            response.readline()


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
            timeout=TIMEOUT_SECONDS,
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
    return json.dumps({"groups": [{"name": "rules-reloader", "rules": rules}]})


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
        log.error("refused %s: %s", name, said)
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
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
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
    log.error("Prometheus did not reload: %s", said)
    return False


def run(config: Config) -> None:
    """Keeps the folder as the ConfigMaps say until SIGTERM."""
    config.folder.mkdir(parents=True, exist_ok=True)
    api = Api(config)
    failures = 0
    pending = False
    while not stopped.is_set():
        (config.folder / HEARTBEAT).touch()
        try:
            items, version = api.list()
            pending = synchronize(config.folder, wanted(items)) or pending
            if pending and reload(config.reload_url):
                log.info("%d rule files loaded", len(wanted(items)))
                pending = False
            failures = 0
            api.wait_for_change(version)
            stopped.wait(SETTLE_SECONDS)
        except (OSError, ValueError, http.client.HTTPException) as error:
            pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            failures += 1
            log.warning("%s; again in %.0f s", error, pause)
            stopped.wait(pause)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        entry = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(entry)


def healthy(config: Config) -> bool:
    """Return whether the loop has run recently."""
    heartbeat = config.folder / HEARTBEAT
    limit = 2 * config.watch_seconds + 2 * TIMEOUT_SECONDS + RELOAD_ATTEMPTS
    return heartbeat.is_file() and time.time() - heartbeat.stat().st_mtime < limit


def main(arguments: list[str]) -> int:
    config = Config.from_environment(os.environ)
    if "--healthy" in arguments:
        return 0 if healthy(config) else 1
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # As process 1 there is no default action for SIGTERM. A watch may be waiting in a
    # system call: leaving at once loses nothing.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
