"""The server's settings: read once from the environment, typed, all errors at once.

`VARIABLES` is the one table of what can be set; the README's table is compared with it
by a test. Each variable sets the field of `Config` with its name in lower case without
the prefix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_server.hash_key import read_hash_key

PREFIX = "MODEL_SERVER_"
EVALUATORS = frozenset({"auto", "onnxruntime"})
HEADER = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


@dataclass(frozen=True)
class Variable:
    """One environment variable: name without the prefix, default, range, meaning."""

    name: str
    default: str | int | float
    meaning: str
    least: float = 0
    most: float = math.inf
    may_be_empty: bool = False


VARIABLES = (
    Variable("MODELS", "/models", "folder of model folders; each with model.yaml"),
    Variable(
        "MODEL",
        "",
        "model that `POST /infer` means; default: the only one",
        may_be_empty=True,
    ),
    Variable(
        "DEFAULT_VERSION",
        "",
        "version that answers when a request names none, of the models that have it; "
        "default: the newest",
        may_be_empty=True,
    ),
    Variable("HOST", "0.0.0.0", "address to listen on"),  # noqa: S104, a container's
    Variable("PORT", 8080, "port to listen on; 0 takes a free one", 0, 65535),
    Variable("GRPC_PORT", 0, "port of gRPC; 0: no gRPC", 0, 65535),
    Variable(
        "REVISION",
        "",
        "revision to report for each model's default version; default: the one in "
        "model.yaml",
        may_be_empty=True,
    ),
    Variable("NAMESPACE", "default", "label `namespace` of metrics (downward API)"),
    Variable("ARM", "stable", "experiment arm: label of metrics, field of the log"),
    Variable(
        "DEREGISTRATION_SECONDS",
        5.0,
        "after SIGTERM: how long the server stays ready and takes new requests",
        0,
        3600,
    ),
    Variable(
        "DRAIN_SECONDS",
        20.0,
        "after that: the longest wait for requests in flight",
        0,
        3600,
    ),
    Variable("THREADS", 0, "threads of one model run; 0: the CPU limit", 0, 256),
    Variable("MAX_BATCH_ROWS", 256, "most rows of one model run", 1, 65536),
    Variable("MAX_REQUEST_ROWS", 1024, "most rows of one request", 1, 65536),
    Variable(
        "MAX_QUEUE_ROWS", 4096, "most rows that wait for the model; more: 503", 1, 2**20
    ),
    Variable(
        "MAX_WAIT_SECONDS",
        1.0,
        "longest expected wait for the model, beyond the run that comes next; more: "
        "503",
        0.001,
        3600,
    ),
    Variable("MAX_BODY_BYTES", 2**20, "largest request body", 64, 2**30),
    Variable(
        "MAX_BUFFERED_BYTES",
        64 * 2**20,
        "most bytes of all request bodies being received, and of all values that wait "
        "for the model; more: 503",
        64,
        2**34,
    ),
    Variable("MAX_HEADER_BYTES", 16384, "largest request line and headers", 256, 2**20),
    Variable(
        "MAX_CONNECTIONS",
        1024,
        "most open connections; more: 503, but for probes and metrics",
        1,
        65536,
    ),
    Variable(
        "GRPC_MAX_CALLS",
        1024,
        "most gRPC calls at a time; more: RESOURCE_EXHAUSTED",
        1,
        65536,
    ),
    Variable(
        "REQUEST_TIMEOUT_SECONDS",
        10.0,
        "longest time to send one request or to take its response",
        0.1,
        3600,
    ),
    Variable(
        "KEEPALIVE_SECONDS",
        3700,
        "how long an idle connection stays open; longer than the gateway's own limit "
        "(Envoy: 1 h), so that the gateway never meets one that is closing",
        1,
        86400,
    ),
    Variable(
        "PREDICTION_LOG",
        "/var/log/predictions",
        "folder of the prediction log; empty: no log",
        may_be_empty=True,
    ),
    Variable(
        "PREDICTION_LOG_QUEUE_ROWS",
        20000,
        "most rows that wait to be written; more are dropped and counted",
        1,
        2**22,
    ),
    Variable(
        "PREDICTION_LOG_FILE_BYTES",
        16 * 2**20,
        "size at which a file is finished",
        1024,
        2**34,
    ),
    Variable(
        "PREDICTION_LOG_FILE_SECONDS",
        60.0,
        "age at which a file is finished",
        0.1,
        86400,
    ),
    Variable(
        "PREDICTION_LOG_TOTAL_BYTES",
        256 * 2**20,
        "size of all files; beyond it the oldest finished ones are deleted and counted",
        1024,
        2**40,
    ),
    Variable(
        "PREDICTION_LOG_HASH_KEY_FILE",
        "",
        "file with the key of the features that model.yaml has hashed, 32 bytes or "
        "more; each byte of it counts",
        may_be_empty=True,
    ),
    Variable(
        "PREDICTION_LOG_UNIT_HEADER",
        "",
        "request header that names the caller for A/B experiments, in lower case; the "
        "log keeps its hash by the same key as `unit`",
        may_be_empty=True,
    ),
    Variable(
        "EVALUATOR",
        "auto",
        "what computes answers; auto: bit masks for tree ensembles where these answer "
        "as onnxruntime does; onnxruntime: always that",
    ),
    Variable("LOG_LEVEL", "info", "debug, info, warning or error"),
    Variable(
        "REQUEST_LINES_PER_SECOND",
        10,
        "most lines a second about answered requests in the server's own log, and as "
        "many about failed ones; 0: none",
        0,
        10_000,
    ),
)


class ConfigError(Exception):
    """The environment is wrong; `problems` holds one line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """The parsed environment; see `VARIABLES` for what each field means."""

    models: Path
    model: str
    default_version: str
    host: str
    port: int
    grpc_port: int
    revision: str
    namespace: str
    arm: str
    deregistration_seconds: float
    drain_seconds: float
    threads: int
    max_batch_rows: int
    max_request_rows: int
    max_queue_rows: int
    max_wait_seconds: float
    max_body_bytes: int
    max_buffered_bytes: int
    max_header_bytes: int
    max_connections: int
    grpc_max_calls: int
    request_timeout_seconds: float
    keepalive_seconds: int
    prediction_log: Path | None
    prediction_log_queue_rows: int
    prediction_log_file_bytes: int
    prediction_log_file_seconds: float
    prediction_log_total_bytes: int
    prediction_log_hash_key_file: Path | None
    prediction_log_unit_header: str
    evaluator: str
    log_level: str
    request_lines_per_second: int


def read(environment: Mapping[str, str]) -> Config:
    """Parse the environment; raise `ConfigError` with every problem found."""
    problems: list[str] = []
    values: dict[str, str | int | float | Path | None] = {}
    for variable in VARIABLES:
        name = PREFIX + variable.name
        text = environment.get(name)
        try:
            value = variable.default if text is None else _parse(variable, text)
        except ValueError as error:
            problems.append(f"{name}={text!r}: {error}")
            value = variable.default
        values[variable.name.lower()] = value
    known = {PREFIX + variable.name for variable in VARIABLES}
    problems += [
        f"{name}: no such variable; known are those of images/model_server/README.md"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]
    values["models"] = Path(str(values["models"]))
    for name in ("prediction_log", "prediction_log_hash_key_file"):
        values[name] = Path(str(values[name])) if values[name] else None
    config = Config(**values)  # type: ignore[arg-type]
    problems += _contradictions(config)
    problems += _unfit_key(config)
    problems += _unfit_unit(config)
    if problems:
        raise ConfigError(problems)
    return config


def _parse(variable: Variable, text: str) -> str | int | float:
    if isinstance(variable.default, str):
        return _parse_text(variable, text)
    kind = type(variable.default)
    try:
        number = kind(text)
    except ValueError:
        word = "a whole number" if kind is int else "a number"
        raise ValueError(f"is not {word}; unset it or give one") from None
    if not variable.least <= number <= variable.most:
        raise ValueError(f"must lie between {variable.least:g} and {variable.most:g}")
    return number


def _parse_text(variable: Variable, text: str) -> str:
    if not text and not variable.may_be_empty:
        raise ValueError("is empty; unset it to take the default")
    if variable.name == "LOG_LEVEL":
        if text not in {"debug", "info", "warning", "error"}:
            raise ValueError("must be debug, info, warning or error")
    elif variable.name == "EVALUATOR":
        if text not in EVALUATORS:
            raise ValueError("must be auto or onnxruntime")
    elif variable.name in {"MODEL", "DEFAULT_VERSION", "REVISION", "NAMESPACE", "ARM"}:
        if text and not LABEL.fullmatch(text):
            raise ValueError(
                "must be at most 128 letters, digits and . _ : / -, "
                "the first a letter or digit"
            )
    elif "\0" in text:
        raise ValueError("holds a zero byte")
    return text


def _contradictions(config: Config) -> list[str]:
    """Return what is wrong between fields that are right each by itself."""
    found = []
    for small, large, why in (
        ("max_request_rows", "max_queue_rows", "a full request could never be taken"),
        ("max_body_bytes", "max_buffered_bytes", "a full body could never be taken"),
        (
            "prediction_log_file_bytes",
            "prediction_log_total_bytes",
            "a finished file would be deleted at once",
        ),
    ):
        if getattr(config, small) > getattr(config, large):
            found.append(
                f"{PREFIX}{small.upper()}={getattr(config, small)}: more than "
                f"{PREFIX}{large.upper()}={getattr(config, large)}, so {why}; "
                "lower the first or raise the second"
            )
    return found


def _unfit_key(config: Config) -> list[str]:
    """Return what is wrong with the file of the key for hashes."""
    file = config.prediction_log_hash_key_file
    if file is None:
        return []
    try:
        read_hash_key(file)
    except ValueError as error:
        return [f"{PREFIX}PREDICTION_LOG_HASH_KEY_FILE={str(file)!r}: {error}"]
    return []


def _unfit_unit(config: Config) -> list[str]:
    """Return what is wrong with the header that names callers."""
    header = config.prediction_log_unit_header
    name = f"{PREFIX}PREDICTION_LOG_UNIT_HEADER={header!r}"
    if header and not HEADER.fullmatch(header):
        return [f"{name}: is not a name of a header in lower case; give one"]
    if header and config.prediction_log_hash_key_file is None:
        variable = f"{PREFIX}PREDICTION_LOG_HASH_KEY_FILE"
        return [f"{name}: there is no key to hash its values with; set {variable}"]
    return []
