"""The front door: Typer commands that parse, call and render."""
