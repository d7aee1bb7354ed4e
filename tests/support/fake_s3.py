"""S3 in memory, as far as the monitor reads it, and its refusals."""

from __future__ import annotations

import io
from typing import Any

from botocore.exceptions import ClientError


class FakeS3:
    """Objects of one bucket; lists them in pages, in the order of their keys."""

    def __init__(self, page: int = 1000) -> None:
        self.objects: dict[str, bytes] = {}
        self.refused: dict[str, str] = {}
        """Error codes by key; the key "" is that of lists."""
        self.lists: list[str] = []
        """After which key each page began."""
        self.reads: list[str] = []
        self._page = page

    def list_objects_v2(self, **asked: str) -> dict[str, Any]:
        assert asked["Bucket"] == "logs"
        self._refuse("", "ListObjectsV2")
        self.lists.append(asked["StartAfter"])
        keys = sorted(
            key
            for key in self.objects
            if key.startswith(asked["Prefix"]) and key > asked["StartAfter"]
        )
        found = [{"Key": it, "Size": len(self.objects[it])} for it in keys]
        return {
            "Contents": found[: self._page],
            "IsTruncated": len(found) > self._page,
        }

    def get_object(self, **asked: str) -> dict[str, Any]:
        assert asked["ChecksumMode"] == "ENABLED"
        key = asked["Key"]
        self.reads.append(key)
        self._refuse(key, "GetObject")
        return {"Body": io.BytesIO(self.objects[key])}

    def _refuse(self, key: str, operation: str) -> None:
        if code := self.refused.get(key):
            raise ClientError({"Error": {"Code": code}}, operation)
