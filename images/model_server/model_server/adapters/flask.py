"""The contract in a Flask application: `mount(app, predictor)`."""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected

from model_server.adapters import contract, wsgi
from model_server.adapters.predictor import Predictor
from model_server.errors import RequestError

RUNTIME = "flask"


def mount(app: Flask, predictor: Predictor, *, leave: Collection[str] = ()) -> None:
    """Add the contract's routes; hooks of the application see their requests too.

    Call it after the application's own routes; `leave` names paths that stay its own.
    A `RequestError` that a route of the application raises is answered as the server
    would. Raises `MountError` if a path is taken.
    """
    taken = [rule.rule for rule in app.url_map.iter_rules()]
    pages = contract.pages(leave, taken)
    predictor.runtime = RUNTIME

    def answer(**_: str) -> Response:
        # Flask's own limit would answer in HTML; ours is in `wsgi.answer`.
        request.max_content_length = None
        status, headers, body = wsgi.answer(
            predictor,
            request.method,
            request.path,
            request.environ,
            _cached,
        )
        return Response(body, status, headers)

    for path in [*pages, f"{contract.BELOW}/<path:rest>"]:
        app.add_url_rule(
            path,
            f"model_server:{path}",
            answer,
            methods=contract.METHODS,
            provide_automatic_options=False,
        )
    app.register_error_handler(RequestError, _refused)
    app.extensions["model_server"] = predictor


def _cached() -> bytes:
    try:
        return request.get_data(cache=True)
    except ClientDisconnected as error:  # what Werkzeug makes of an error of the socket
        raise OSError("the body broke off") from error


def _refused(error: RequestError) -> Response:
    body, headers = wsgi.refusal(error, request.headers.get("x-request-id", ""))
    return Response(body, error.status, wsgi.text(headers))
