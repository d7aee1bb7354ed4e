"""Features that a database has: where by a variable, the password by a Secret."""

from __future__ import annotations

import os

import asyncpg

SECONDS = 2
"""To connect, and to be answered."""


class UnreachableError(Exception):
    """No answer from the database; what it says names no password."""


class UnknownError(Exception):
    """The database has no such resident."""


async def education(resident: int) -> int:
    """Educational attainment (SCHL) of a resident.

    Raises UnreachableError without an answer, UnknownError without a resident.
    """
    host = os.environ.get("DATABASE_HOST", "")
    try:
        connection = await asyncpg.connect(
            host=host,
            user="application",
            password=os.environ["DATABASE_PASSWORD"],
            database="postgres",
            timeout=SECONDS,
            command_timeout=SECONDS,
        )
        try:
            found = await connection.fetchval(
                "select schl from residents where number = $1", resident
            )
        finally:
            await connection.close()
    except (OSError, KeyError, TimeoutError, asyncpg.PostgresError) as error:
        raise UnreachableError(
            f"the database at {host} does not answer: {type(error).__name__}"
        ) from error
    if found is None:
        raise UnknownError(f"there is no resident {resident}")
    return int(found)
