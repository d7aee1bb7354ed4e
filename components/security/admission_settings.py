"""Settings of the admission policies that the rules of policies/ become."""

from __future__ import annotations

from components.settings import Settings


class AdmissionSettings(Settings):
    """Rules that the API server holds objects of the models' namespaces to.

    Off by default: in production a rule that an installed model does not keep refuses
    its next update.
    """

    enabled: bool = False
    """True creates a ValidatingAdmissionPolicy for each rule about Kubernetes objects
    (docs/reference/rules.md). Needs Kubernetes 1.30."""
    warn_only: bool = False
    """True only warns in production too, where errors would be rejected otherwise: a
    trial of the rules."""
