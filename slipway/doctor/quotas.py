"""Values of Service Quotas."""

from __future__ import annotations

from slipway.account import Account, CannotAskError

NOT_APPLIED = "NoSuchResourceException"
"""The account never changed this quota: AWS's default applies."""


def value(account: Account, service: str, code: str) -> float:
    """Return the account's quota, or AWS's default if the account has none.

    CannotAskError if neither can be read.
    """
    asked = {"ServiceCode": service, "QuotaCode": code}
    try:
        answer = account.ask("service-quotas", "get_service_quota", **asked)
    except CannotAskError as error:
        if error.code != NOT_APPLIED:
            raise
        answer = account.ask("service-quotas", "get_aws_default_service_quota", **asked)
    return float(answer["Quota"]["Value"])


def raise_it(service: str, code: str, wanted: int) -> str:
    """Return the fix for a quota that is too small."""
    return (
        "lower the pools' limits, or request more: aws service-quotas "
        f"request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--desired-value {wanted}"
    )
