"""Signatures and attestations: read, checked, made. Zone: controller. Needs the extra `signing`; only who signs or
checks imports what it brings."""
