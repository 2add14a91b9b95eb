"""Glue between Hydra's life cycle and executions: a callback, and what stands before the launcher of a sweep."""
