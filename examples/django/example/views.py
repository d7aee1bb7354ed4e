"""The project's views."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST
from model_server.adapters import Predictor

predictor = Predictor.from_environment()


@require_POST  # type: ignore[untyped-decorator]
def score(request: HttpRequest) -> HttpResponse:
    """Answer one resident's answers to the census, by the names of the ACS."""
    try:
        resident = json.loads(request.body)
    except ValueError:
        return JsonResponse({"error": "the body is not JSON"}, status=400)
    outputs = predictor.predict(predictor.rows_of([resident]))
    return JsonResponse(
        {
            "employed": bool(outputs["label"][0]),
            "probability": float(outputs["probability"][0, 1]),
        }
    )
