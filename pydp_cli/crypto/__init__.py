"""Cryptographic primitives over Arrow columns, and the whole-file container."""

from pydp_cli.crypto import cmac, ff1, siv

__all__ = ["cmac", "ff1", "siv"]
