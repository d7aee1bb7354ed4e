"""JSON Web Tokens of an issuer that the tests are: ES256 by RFC 7515 and RFC 7518."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://issuer.example.com"
_BYTES = 32
"""Of a coordinate and of half a signature, P-256."""


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Issues tokens; `jwks` is what it publishes."""

    def __init__(self, key_id: str = "first") -> None:
        self._id = key_id
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        point = {
            name: _text(number.to_bytes(_BYTES, "big"))
            for name, number in (("x", numbers.x), ("y", numbers.y))
        }
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self._id, **point}
        return {"keys": [key]}

    def token(self, **claims: Any) -> str:
        header = {"alg": "ES256", "typ": "JWT", "kid": self._id}
        signed = ".".join(_text(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(
            self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        )
        signature = r.to_bytes(_BYTES, "big") + s.to_bytes(_BYTES, "big")
        return f"{signed}.{_text(signature)}"
