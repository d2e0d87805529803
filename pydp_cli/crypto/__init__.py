"""Cryptographic primitives over Arrow columns, and the whole-file container."""
