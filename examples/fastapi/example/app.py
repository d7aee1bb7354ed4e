"""The application: two routes of its own, and the model server's contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from model_server.adapters import Predictor
from model_server.adapters.fastapi import mount
from pydantic import BaseModel, ConfigDict, Field

from example import database

Code = Annotated[int, Field(ge=0)]


class Answers(BaseModel):
    """Answers to the census, by the names and codes of the ACS, but for one."""

    model_config = ConfigDict(extra="forbid")

    AGEP: Annotated[int, Field(ge=0, le=99, description="age in years")]
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


class Resident(Answers):
    """All answers of a resident."""

    SCHL: Code = Field(description="educational attainment")


class Known(Answers):
    """A resident of whom the database has the education."""

    resident: Annotated[int, Field(ge=0, description="number in the database")]


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


@app.post("/scores")
async def scores(
    residents: Annotated[list[Resident], Body(min_length=1, max_length=1000)],
    pause_seconds: Annotated[float, Query(ge=0, le=60)] = 0,
) -> StreamingResponse:
    """A line of JSON for each resident, as soon as it is known.

    `pause_seconds`: between two lines, as a slower model would make.
    """

    async def lines() -> AsyncIterator[str]:
        for number, resident in enumerate(residents):
            if number:
                await asyncio.sleep(pause_seconds)
            found = await score(resident)
            yield found.model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@app.post("/score")
async def score(resident: Resident) -> Score:
    rows = predictor.rows_of([resident.model_dump()])
    outputs = await predictor.apredict(rows)
    return Score(
        employed=bool(outputs["label"][0]),
        probability=float(outputs["probability"][0, 1]),
    )


@app.post("/score/known")
async def score_known(known: Known) -> Score:
    """The same for a resident whose education the database knows."""
    answers = known.model_dump(exclude={"resident"})
    education = await database.education(known.resident)
    return await score(Resident(SCHL=education, **answers))


@app.exception_handler(database.UnreachableError)
async def unreachable(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=503)


@app.exception_handler(database.UnknownError)
async def unknown(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=404)


mount(app, predictor)
