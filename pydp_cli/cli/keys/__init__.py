"""`pydp keys`: make and look after the keyring. Each subject's subcommands are in a module of their own."""

from pydp_cli.cli.keys import making, showing, protecting, sharing, backups, using, versions, exchange, subjects  # noqa: F401, I001 - in the order of the help
from pydp_cli.cli.keys import identities  # noqa: F401
from pydp_cli.cli.keys.group import app

__all__ = ["app"]
