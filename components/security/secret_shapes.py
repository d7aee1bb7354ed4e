"""Detects secrets: by the text itself, or by the name of a variable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from components.setting_secrets import NOT_SHOWN
from components.settings import Problem

SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?"
    r"(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "an AWS access key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b",
    "a token for EKS": r"\bk8s-aws-v1\.[\w=+/-]+",
    "a JSON Web Token": r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*",
    "an AWS session token": r"\b(?:IQoJ|FwoG|FQoG)[\w+/=%-]{20,}",
    "a Pulumi access token": r"\bpul-[0-9a-f]{32,}\b",
    "a GitHub token": r"\b(?:gh[opsur]_\w{30,}|github_pat_\w{30,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "an API key": r"\b[rs]k[_-](?:live|test|proj|ant)[_-][\w-]{16,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}\b",
}
"""Regular expressions (`.` takes line ends too) by what they find."""
_IN_PARTS = {
    "a password in a URL": r"://[^/\s:@]*:[^@/\s]+@",
    "a password in connection settings": r"(?i)(?:^|[\s;?&])(?:password|passwd|pwd|"
    r"accountkey|sharedaccesskey)\s*=\s*[^\s;&]+",
}
_PATTERNS = {
    what: re.compile(text, re.DOTALL) for what, text in {**SHAPES, **_IN_PARTS}.items()
}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_NAME = re.compile(
    r"(?:PASSWORDS?|PASSWD|PASSPHRASES?|SECRETS?|TOKEN|CREDENTIALS?|APIKEY)(?:_|$)|"
    r"(?:^|_)(?:ACCESS|ACCOUNT|API|AUTH|ENCRYPTION|MASTER|PRIVATE|SECRET|SIGNING)"
    r"_KEYS?(?:_|$)|_(?:PASS|PWD)$"
)
_ABOUT = re.compile(
    "ALGORITHM|ARN|AUDIENCE|BYTES|COUNT|DAYS|DIR|DIRECTORY|ENABLED|ENDPOINT|FILE|"
    "FOLDER|HEADER|HOST|HOURS|ISSUER|LENGTH|LIMIT|MINUTES|MODE|NAME|NAMESPACE|PATH|"
    "PORT|PROVIDER|REGION|REQUIRED|SECONDS|SIZE|TTL|TYPE|URI|URL|VERSION"
)
"""Last words of names that say something of a secret and not the secret itself."""
_SAYS_NOTHING = frozenset(("", "true", "false", "yes", "no", "on", "off", "none"))


def found(name: str, value: str) -> str:
    """Why a variable's value looks like a secret, as half a sentence; empty if not."""
    for what, pattern in _PATTERNS.items():
        if pattern.search(value):
            return f"it looks like {what}"
    if value.strip().lower() in _SAYS_NOTHING:
        return ""
    words = [word.upper() for word in _WORDS.findall(name)]
    if _SECRET_NAME.search("_".join(words)) and not _ABOUT.fullmatch(words[-1]):
        return "its name says that it is a secret"
    return ""


def problems(
    environment: Mapping[str, str], accepted: Sequence[str], kind: str
) -> Iterator[Problem]:
    """Secrets that whoever reads the repository or the object would read.

    `accepted`: variables that are not secrets; `kind`: of the object that has them.
    """
    for name, value in sorted(environment.items()):
        reason = found(name, value)
        if reason and name not in accepted:
            yield Problem(
                f"environment.{name}",
                NOT_SHOWN,
                f"{reason}, and everyone who can read the repository or the "
                f"{kind} would see it",
                "put it into a Secret and reference it with "
                f"secrets.<name>.variables.{name}; if it is not a secret, list it in "
                "accept_plain_text",
            )
    for index, name in enumerate(accepted):
        if name not in environment:
            yield Problem(
                f"accept_plain_text.{index}",
                name,
                "environment has no such variable",
                "remove it",
            )
