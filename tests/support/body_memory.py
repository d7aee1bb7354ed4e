"""Reads one request body in a process of its own and prints what that took at most.

    python -m tests.support.body_memory DATATYPE TEXT MIB [nested|broken|junk]

The answer is the peak in times of the body, itself included, and the words of the
error if there was one. The kernel's high-water mark is of the whole process, hence the
process; `clear_refs` sets it back (https://docs.kernel.org/filesystems/proc.html).
"""

from __future__ import annotations

import sys
from pathlib import Path

from model_server.errors import RequestError
from model_server.free_memory import give_back
from model_server.manifest import Manifest
from model_server.protocol import Reader
from model_server.tensor import Tensor

COLUMNS = 100


def resident(field: str) -> int:
    """Return VmRSS or VmHWM of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(field))
    return int(found.split()[1]) * 1024


def body_of(datatype: str, text: str, mib: float, form: str) -> bytearray:
    """Return a body of rows of one text each value."""
    rows = int(mib * 2**20 / (len(text) + 1)) // COLUMNS
    row = ",".join([text] * COLUMNS)
    if form == "nested":
        row = f"[{row}]"
    data = ",".join([row] * rows)
    if form == "broken":
        data = data[:-1] + "x"
    shape = f"[{rows},{COLUMNS}]"
    start = f'{{"inputs":[{{"name":"X","datatype":"{datatype}","shape":{shape}'
    if form == "junk":
        return bytearray(f'{{"inputs":[{data}]}}'.encode())
    return bytearray(f'{start},"data":[{data}]}}]}}'.encode())


def main(datatype: str, text: str, mib: str, form: str = "flat") -> None:
    manifest = Manifest(
        name="wide",
        version="1",
        revision="r",
        inputs=(Tensor("X", datatype, (-1, COLUMNS)),),
        outputs=(Tensor("Y", datatype, (-1,)),),
        features=(),
        decision="Y",
        score="",
        digests={},
    )
    reader = Reader(manifest, 2**30)
    body = body_of(datatype, text, float(mib), form)
    size = len(body)
    give_back()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS") - size
    try:
        found = f"{reader.read(body).rows} rows"
    except RequestError as error:
        found = error.message
    print(f"{(resident('VmHWM') - before) / size:.2f} {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
