"""Optuna's side of the cells: its own tables, read and written at less cost, and made again from the ledger."""
