"""Cryptographic primitives over Arrow columns, and the whole-file container.

`from pydp_cli.crypto import cmac, ff1, siv`: each is a module of its own, imported when it is asked for.
"""
