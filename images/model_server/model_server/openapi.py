"""OpenAPI 3.1 documents of the server and of each model, made from model.yaml.

A test holds them to the running server: what a document allows is taken, what it
excludes is refused, and every answer is one that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from model_server import __version__
from model_server.endpoint import Endpoint
from model_server.errors import ERROR_CODES
from model_server.openapi_tensors import REQUEST_ID_SCHEMA, answer, request, zeros

Json = dict[str, Any]

_TEXT = {"schema": {"type": "string"}}
_MODEL_HEADERS = {
    "x-request-id": {"description": "The prediction's id.", **_TEXT},
    "x-model-revision": {"description": "Revision that answered.", **_TEXT},
    "x-model-version": {"description": "Version that answered.", **_TEXT},
}
_MEANINGS = {
    400: "The request is wrong; `path` says where.",
    404: "No such path, model, version or revision; the text names the known ones.",
    405: "Another method is meant; see `Allow`.",
    408: "The request took too long to arrive.",
    413: "Too many rows or bytes for one request.",
    415: "Neither JSON nor what this document names.",
    431: "The request line and headers are too long.",
    500: "A fault of the server or of its model.",
    503: "Loading or overloaded; try again after `Retry-After` seconds.",
    504: "The request's own deadline passed before the model was free.",
}
_INFERENCE_ERRORS = (400, 404, 408, 413, 415, 431, 500, 503, 504)
_PAGE_ERRORS = (400, 404, 405, 408, 431)
_BINARY = (
    "The same JSON, its length in the header Inference-Header-Content-Length, and then "
    "the bytes of each tensor that has the parameter binary_data_size instead of data: "
    "little-endian, row by row."
)


def document(
    endpoints: Iterable[Endpoint], paths: Mapping[str, Endpoint], pages: Json
) -> Json:
    """Return the document of these endpoints.

    `paths` are those that take inference, `pages` what belongs to no model.
    """
    known = list(endpoints)
    schemas: Json = {"Error": _error()}
    found: Json = dict(pages)
    for endpoint in known:
        prefix = _schema_prefix(endpoint)
        limit = endpoint.max_request_rows
        schemas[f"{prefix}-request"] = request(endpoint.manifest, limit)
        schemas[f"{prefix}-answer"] = answer(endpoint.manifest)
    names = {(it.manifest.name, it.manifest.version) for it in known}
    for path, endpoint in paths.items():
        if (endpoint.manifest.name, endpoint.manifest.version) not in names:
            continue
        if endpoint.is_predict:
            continue  # TensorFlow Serving's, which its own pages describe
        found[path] = {"post": _inference(path, endpoint)}
        model = path.removesuffix("/infer")
        if model:
            found[model] = {"get": _metadata(model, endpoint)}
            found[f"{model}/ready"] = {"get": _ready(model, endpoint)}
            found[f"{model}/openapi.json"] = _itself(model)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": ", ".join(dict.fromkeys(it.manifest.name for it in known)),
            "version": ", ".join(dict.fromkeys(it.manifest.version for it in known)),
            "description": "Open Inference Protocol v2, served by "
            f"slipway-model-server {__version__}.",
        },
        "paths": found,
        "components": {"schemas": schemas},
    }


def _schema_prefix(endpoint: Endpoint) -> str:
    return f"{endpoint.manifest.name}-{endpoint.manifest.version}"


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _errors(statuses: Iterable[int]) -> Json:
    return {
        str(status): {
            "description": _MEANINGS[status],
            "content": _json(_reference("Error")),
        }
        for status in statuses
    }


def _error() -> Json:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {**text, "description": "What is wrong and how to fix it."},
            "code": {**text, "enum": list(ERROR_CODES)},
            "path": {**text, "description": "The part of the body at fault."},
            "request_id": text,
        },
    }


def _get(
    operation: str, summary: str, content: Json, errors: Iterable[int] = ()
) -> Json:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [_header("X-Request-Id", "Given back.", REQUEST_ID_SCHEMA)],
        "responses": {
            "200": {"description": summary, "content": content},
            **_errors((*_PAGE_ERRORS, *errors)),
        },
    }


def pages() -> Json:
    """Return the paths that are the server's own."""
    live = _json(_exactly({"live": {"const": True}}))
    found: Json = {
        path: {"get": _get(_operation("live", path), "The process lives.", live)}
        for path in ("/healthz", "/v2/health/live")
    }
    ready = _json(_exactly({"ready": {"const": True}}))
    for path in ("/readyz", "/v2/health/ready"):
        page = _get(_operation("ready", path), "All models answer.", ready)
        page["responses"]["503"] = {
            "description": "Loading or draining.",
            "content": _json(
                _exactly({"ready": {"const": False}, "reason": {"type": "string"}})
            ),
        }
        found[path] = {"get": page}
    text = {"text/plain": {"schema": {"type": "string"}}}
    found["/metrics"] = {"get": _get("metrics", "Prometheus text.", text)}
    names = {"type": "array", "items": {"type": "string"}}
    server = _exactly(
        {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "extensions": names,
            "models": names,
        }
    )
    found["/v2"] = {"get": _get("server", "What this server is.", _json(server))}
    found["/openapi.json"] = _itself("")
    return found


def _exactly(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _operation(word: str, path: str) -> str:
    """Return an operation's name; it must be another for each path."""
    return "_".join([word, *path.replace("versions/", "").split("/")[2:]])


def _itself(path: str) -> Json:
    summary = "This document."
    content = _json({"type": "object"})
    return {"get": _get(_operation("openapi", path), summary, content, errors=(503,))}


def _header(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _choice(endpoint: Endpoint) -> list[Json]:
    """Return the header that picks a revision, where the path leaves a choice."""
    revisions = list(endpoint.by_revision)
    return [
        _header(
            "X-Model-Revision",
            f"The revision that shall answer; {endpoint.revision} if left out.",
            {"type": "string", "enum": revisions},
        )
    ]


def _inference(path: str, endpoint: Endpoint) -> Json:
    prefix = _schema_prefix(endpoint)
    timeout = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
    columns = ", ".join(endpoint.manifest.features)
    return {
        "operationId": _operation("infer", path.removesuffix("/infer")),
        "summary": f"Inference by {endpoint.manifest.name}.",
        "description": f"Columns of the input, in order: {columns}." if columns else "",
        "parameters": [
            _header("X-Request-Id", "The prediction's id.", REQUEST_ID_SCHEMA),
            _header(
                "X-Request-Timeout-Ms",
                "How long the client waits; after that nothing is run for it.",
                timeout,
            ),
            *_choice(endpoint),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _reference(f"{prefix}-request"),
                    "example": zeros(endpoint.manifest),
                },
                "application/octet-stream": {"schema": {"description": _BINARY}},
            },
        },
        "responses": {
            "200": {
                "description": "One row of outputs for each row of inputs.",
                "headers": _MODEL_HEADERS,
                "content": {
                    **_json(_reference(f"{prefix}-answer")),
                    "application/octet-stream": {"schema": {"description": _BINARY}},
                },
            },
            **_errors(_INFERENCE_ERRORS),
        },
    }


def _metadata(path: str, endpoint: Endpoint) -> Json:
    tensor = _exactly(
        {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
        }
    )
    tensor["properties"]["parameters"] = {
        "type": "object",
        "description": "Settings of model.yaml that differ from what is usual.",
        "properties": {
            "missing_values": {"const": True},
            "max_shape": {"type": "array", "items": {"type": "integer"}},
        },
    }
    tensors = {"type": "array", "items": tensor}
    content = _exactly(
        {
            "name": {"const": endpoint.manifest.name},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": tensors,
            "outputs": tensors,
            "parameters": {"type": "object"},
        }
    )
    page = _get(_operation("model", path), "What the model is.", _json(content), (503,))
    page["parameters"] += _choice(endpoint)
    return page


def _ready(path: str, endpoint: Endpoint) -> Json:
    name = endpoint.manifest.name
    content = _exactly({"name": {"const": name}, "ready": {"const": True}})
    page = _get(_operation("ready", path), "The model answers.", _json(content))
    page["responses"]["503"] = {
        "description": "Loading or draining.",
        "content": _json({"type": "object"}),
    }
    page["parameters"] += _choice(endpoint)
    return page
