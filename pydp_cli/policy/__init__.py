"""The policy file: typed model, loader that keeps line numbers, checks, JSON Schema."""
