"""Notebooks as runs: configured, recorded, watched and kept. See docs/why/notebooks.md."""
