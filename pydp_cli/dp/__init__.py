"""Differential privacy: queries, contribution bounding, mechanisms, accounting, the ledger."""
