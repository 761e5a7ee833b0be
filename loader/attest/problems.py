"""Why a signature is not accepted. Each is one sentence. Zone: controller."""

from __future__ import annotations


class Unreadable(ValueError):
    """A bundle, a statement, a key or a certificate is malformed, expired, or of a kind that is not read here."""


class Wrong(ValueError):
    """A signature does not fit what it is said to sign."""


class Unknown(ValueError):
    """The signature may be sound, and who made it is none of those that are trusted here."""
