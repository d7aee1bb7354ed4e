"""The application: one route of its own, and the model server's contract."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI
from model_server.adapters import Predictor
from model_server.adapters.fastapi import mount
from pydantic import BaseModel, ConfigDict, Field

Code = Annotated[int, Field(ge=0)]


class Resident(BaseModel):
    """Answers to the census, by the names and codes of the ACS."""

    model_config = ConfigDict(extra="forbid")

    AGEP: Annotated[int, Field(ge=0, le=99, description="age in years")]
    SCHL: Code = Field(description="educational attainment")
    MAR: Code = Field(description="marital status")
    RELP: Code = Field(description="relationship to the reference person")
    DIS: Code = Field(description="disability")
    ESP: Code = Field(description="employment status of parents")
    CIT: Code = Field(description="citizenship")
    MIG: Code = Field(description="lived here a year ago")
    MIL: Code = Field(description="military service")
    ANC: Code = Field(description="ancestry")
    NATIVITY: Code = Field(description="native or foreign born")
    DEAR: Code = Field(description="hearing difficulty")
    DEYE: Code = Field(description="vision difficulty")
    DREM: Code = Field(description="cognitive difficulty")
    SEX: Code
    RAC1P: Code = Field(description="race")


class Score(BaseModel):
    """What the model makes of a resident."""

    employed: bool
    probability: float


class NoSniff:
    """Middleware: browsers shall not guess what an answer is."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                header = (b"x-content-type-options", b"nosniff")
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        await self._app(scope, receive, send_with_header)


app = FastAPI(title="Employment", version="1")
app.add_middleware(NoSniff)
predictor = Predictor.from_environment()


@app.post("/score")
async def score(resident: Resident) -> Score:
    rows = predictor.rows_of([resident.model_dump()])
    outputs = await predictor.apredict(rows)
    return Score(
        employed=bool(outputs["label"][0]),
        probability=float(outputs["probability"][0, 1]),
    )


mount(app, predictor)
