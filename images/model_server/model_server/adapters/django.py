"""The contract in a Django project: `urlpatterns = [*predictor_urls(predictor), ...]`.

Put `model_server.adapters.django.RequestErrors` into MIDDLEWARE, and a `RequestError`
that a view raises is answered as the server would.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from model_server.adapters import contract, wsgi
from model_server.adapters.predictor import Predictor
from model_server.errors import RequestError

RUNTIME = "django"


def predictor_urls(
    predictor: Predictor, *, leave: Collection[str] = ()
) -> list[URLPattern]:
    """Return the contract's routes; the project's middlewares see their requests too.

    Django takes the first pattern that matches, so put them first; `leave` names paths
    that stay the project's own. Raises `MountError` if there is no such path.
    """
    predictor.runtime = RUNTIME

    def answer(request: HttpRequest, page: str = "", rest: str = "") -> HttpResponse:
        status, headers, body = wsgi.answer(
            predictor,
            request.method or "GET",
            page or f"{contract.BELOW}/{rest}",
            request.META,
            lambda: _cached(request, predictor.config.max_body_bytes),
        )
        return HttpResponse(body, status=status, headers=dict(headers))

    view = csrf_exempt(answer)
    pages = contract.pages(leave, ())
    return [
        *(path(page.removeprefix("/"), view, {"page": page}) for page in pages),
        path(f"{contract.BELOW[1:]}/<path:rest>", view),
    ]


def _cached(request: HttpRequest, limit: int) -> bytes:
    try:
        body: bytes = request.body
    except RequestDataTooBig:  # the project's own limit is lower than ours
        raise wsgi.too_large(limit) from None
    return body


class RequestErrors:
    """Middleware that answers a view's `RequestError` as the server would."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        if not isinstance(error, RequestError):
            return None
        body, headers = wsgi.refusal(error, request.headers.get("x-request-id", ""))
        return HttpResponse(body, status=error.status, headers=dict(wsgi.text(headers)))
