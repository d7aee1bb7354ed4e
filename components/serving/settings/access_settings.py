"""Settings of access to a model: which callers, at which rate, with what body size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from components.serving.settings import header_names
from components.setting_secrets import Encrypted, Secret, hidden
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings, refuse

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
LEAST_KEY_CHARACTERS = 20
"""Of a random text that is 119 bits and more."""
_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s?#]*)?(\?[^\s#]*)?")
_HEADER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,253}")
_CLIENT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
"""Members of a JSON Web Key that are private or shared (RFC 7518, section 6)."""


def _https(text: str) -> str:
    if not _HTTPS.fullmatch(text):
        refuse(
            "not an https address: over anything else, keys could be replaced in "
            "transit",
            "give one like https://login.example.com/realm",
        )
    return text


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        refuse(
            "not a valid header name",
            "use lower-case letters, digits and dashes, such as x-api-key",
        )
    if why := header_names.meaning(text):
        refuse(f"{why}, so it cannot hold a key", "give another, such as x-api-key")
    return text


def _claim(text: str) -> str:
    if not _CLAIM.fullmatch(text):
        refuse("not a valid claim name", "give one such as sub or client_id")
    return text


def _client(text: str) -> str:
    if not _CLIENT.fullmatch(text):
        refuse(
            "not a client name that a header and a Secret can hold",
            "use up to 63 letters, digits and . _ - between them",
        )
    return text


HttpsAddress = Annotated[str, AfterValidator(_https)]
HeaderName = Annotated[str, AfterValidator(_header)]
ClaimName = Annotated[str, AfterValidator(_claim)]
ClientName = Annotated[str, AfterValidator(_client)]
ClientKeys = Annotated[
    dict[DnsLabel, dict[ClientName, Secret]], BeforeValidator(hidden)
]
"""API keys by client, by the name of the Secret that holds them."""


class ApiKeys(Settings):
    """Callers send a key, which a Secret maps to a client."""

    secret: DnsLabel
    """Secret in the models' namespace: each entry is a client's name and its key.
    `slipway keys add` makes and fills it, `client_keys` or kubectl do as well."""
    header: HeaderName = "x-api-key"
    """Header with the key. It is not forwarded to the model."""


class Jwt(Settings):
    """Callers send a JSON Web Token, as `Authorization: Bearer ...`."""

    issuer: HttpsAddress
    """Required issuer of the token: its claim iss."""
    audiences: Annotated[tuple[str, ...], Field(max_length=8)]
    """Accepted audiences: the token's claim aud must contain one. Otherwise tokens of
    the issuer for other services would be accepted."""
    jwks_uri: HttpsAddress | None = None
    """URL of the issuer's public keys; the platform's setting `gateway.egress_cidrs`
    must allow it."""
    jwks: dict[str, Any] | None = None
    """The public keys themselves, a JSON Web Key Set: `{keys: [...]}`."""
    client_claim: ClaimName = "sub"
    """Claim that names the client."""
    forward_token: bool = False
    """Whether the token is forwarded to the model. The model could then use it to act
    as the caller."""

    def contradictions(self) -> Iterator[Problem]:
        """Keys from nowhere or from two places, or keys that are not public."""
        if not self.audiences:
            yield Problem(
                "audiences",
                [],
                "every token of the issuer would grant access to this model, whatever "
                "its purpose",
                "give at least one, such as models",
            )
        if self.jwks is None and self.jwks_uri is None:
            yield Problem(
                "jwks_uri",
                None,
                "the location of the issuer's public keys is missing",
                "give jwks_uri (the issuer's jwks_uri) or jwks",
            )
        if self.jwks is not None and self.jwks_uri is not None:
            yield Problem(
                "jwks",
                sorted(self.jwks),
                "jwks_uri already says where the keys are",
                "remove jwks or jwks_uri",
            )
        yield from self._keys()

    def _keys(self) -> Iterator[Problem]:
        if self.jwks is None:
            return
        keys = self.jwks.get("keys")
        if not isinstance(keys, list) or not keys or not all(map(_is_key, keys)):
            yield Problem(
                "jwks",
                sorted(self.jwks),
                "not a JSON Web Key Set with keys in it",
                "give what the issuer's jwks_uri returns: {keys: [{kty: ...}, ...]}",
            )
            return
        for number, key in enumerate(keys):
            if private := sorted(_PRIVATE & set(key)):
                yield Problem(
                    f"jwks.keys.{number}",
                    private,
                    "these members are private: anyone who reads them can issue tokens",
                    "give the public key alone, and replace this one at the issuer",
                )


def _is_key(key: Any) -> bool:
    return isinstance(key, dict) and isinstance(key.get("kty"), str)


class Rate(Settings):
    """A number of requests per unit of time, which may also arrive all at once."""

    requests: Annotated[Whole, Field(ge=1, le=10_000_000)]
    """Requests."""
    per: Literal["second", "minute", "hour"] = "second"
    """Time unit of the rate."""

    @property
    def per_second(self) -> float:
        return self.requests / SECONDS[self.per]

    def __str__(self) -> str:
        return f"{self.requests} per {self.per}"


class Access(Settings):
    """Credentials and limits that the gateway enforces for a model."""

    api_keys: ApiKeys | None = None
    """Requires an API key."""
    jwt: Jwt | None = None
    """Requires a token (JWT)."""
    rate_per_client: Rate | None = None
    """Rate limit of each client. Each proxy counts separately, and so does each public
    path and revision of the model."""
    rate_total: Rate | None = None
    """Rate limit of all clients together, counted in the same way."""
    clients_by: Literal["identity", "address"] = "identity"
    """How clients are identified: by the key or token, or by the address that the
    gateway sees."""
    max_body_kib: Annotated[Whole | None, Field(ge=1, le=65_536)] = None
    """Largest body of a request, in KiB. The gateway then buffers each request
    completely, so slow clients cannot block the model, and does not stream requests."""

    @property
    def identifies(self) -> bool:
        """Whether callers have a name."""
        return self.api_keys is not None or self.jwt is not None

    def contradictions(self) -> Iterator[Problem]:
        """Report two kinds of credentials, none at all, and rates without effect."""
        bounds = (self.rate_per_client, self.rate_total, self.max_body_kib)
        if not self.identifies and not any(bounds):
            yield Problem(
                "",
                {},
                "it has no effect: nothing is required or limited",
                "give api_keys, jwt, a rate or max_body_kib, or remove access",
            )
        if self.api_keys and self.jwt:
            yield Problem(
                "jwt",
                self.jwt.issuer,
                "api_keys is also set, and a client would need both",
                "remove one of them",
            )
        each, all_ = self.rate_per_client, self.rate_total
        if each and not self.identifies and self.clients_by == "identity":
            yield Problem(
                "rate_per_client",
                str(each),
                "clients have no identity: they could set any name in a header",
                "give api_keys or jwt, or set clients_by: address",
            )
        if self.clients_by == "address" and each is None:
            yield Problem(
                "clients_by",
                self.clients_by,
                "nothing is counted per client",
                "give rate_per_client, or remove it",
            )
        if each and all_ and each.per_second > all_.per_second:
            yield Problem(
                "rate_per_client",
                str(each),
                f"all clients together are limited to {all_}, which a single client "
                "would reach first",
                "lower it, or raise rate_total",
            )


def weak_keys(keys: ClientKeys) -> Iterator[Problem]:
    """Keys that can be guessed, or that two clients have; none of them is shown."""
    for secret, clients in keys.items():
        owners: dict[str, str] = {}
        for client, key in clients.items():
            if isinstance(key, Encrypted):
                continue
            text = key.get_secret_value()
            place = f"client_keys.{secret}.{client}"
            if len(text) < LEAST_KEY_CHARACTERS:
                yield Problem(
                    place,
                    "(not shown)",
                    f"it has fewer than {LEAST_KEY_CHARACTERS} characters",
                    "give a random one, such as `openssl rand -hex 32` prints",
                )
            if text in owners:
                yield Problem(
                    place,
                    "(not shown)",
                    f"{owners[text]} has the same key, and the two could not be "
                    "distinguished",
                    "give each client its own key",
                )
            owners.setdefault(text, client)
