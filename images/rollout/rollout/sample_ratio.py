"""Whether the canary gets the share of requests that its weight says.

A mixture of binomials against the designed one, which may be looked at at any time: the
share under the alternative is drawn from a beta distribution around the design. If the
shares differ, the two revisions do not see the same requests, and a comparison of them
says little: Lindon and Malek, "Anytime-valid inference for multinomial count data",
NeurIPS 2022.
"""

from __future__ import annotations

import math

STRENGTH = 1000.0
"""Parameter of the beta distribution: how far from the design the test looks."""
ALARM = 1000.0
"""Evidence that blocks a promotion: a chance of 0.1 % if the shares are right."""


def evidence(canary: int, stable: int, share: float) -> float:
    """The likelihood ratio against the designed share of the canary, cut at 1e300."""
    if not 0 < share < 1:
        return 1.0
    a, b = STRENGTH * share, STRENGTH * (1 - share)
    log = _log_beta(a + canary, b + stable) - _log_beta(a, b)
    log -= canary * math.log(share) + stable * math.log(1 - share)
    return math.exp(min(log, 690.0))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
