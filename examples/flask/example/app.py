"""The application: one route of its own, and the model server's contract."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request
from model_server.adapters import Predictor
from model_server.adapters.flask import mount

app = Flask(__name__)
predictor = Predictor.from_environment()


@app.after_request
def no_sniff(response: Response) -> Response:
    """Browsers shall not guess what an answer is."""
    response.headers["x-content-type-options"] = "nosniff"
    return response


@app.post("/score")
def score() -> dict[str, Any]:
    """Answer one resident's answers to the census, by the names of the ACS."""
    rows = predictor.rows_of([request.get_json()])
    outputs = predictor.predict(rows)
    return {
        "employed": bool(outputs["label"][0]),
        "probability": float(outputs["probability"][0, 1]),
    }


mount(app, predictor)
