"""What a report says of signatures and attestations. Zone: controller."""

from __future__ import annotations

from typing import Literal

import msgspec

SignatureState = Literal["verified", "wrong", "unknown signer", "not checked", "unreadable"]


class Signature(msgspec.Struct, frozen=True):
    """The signature that lies beside the source. signer: who made it, where it is verified; covered: files of the
    source that it signs as they are; detail: why it is not verified."""

    file: str
    state: SignatureState
    signer: str | None = None
    covered: int = 0
    detail: str = ""


class Attestation(msgspec.Struct, frozen=True):
    """The attestation that this run accepted. signer: whose key; time: when the source was opened there; report: SHA-256
    of the report of that run; instead: whether nothing was opened here for it."""

    file: str
    signer: str
    time: str
    report: str
    instead: bool
