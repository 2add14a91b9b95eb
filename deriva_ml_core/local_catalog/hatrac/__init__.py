"""Hatrac, the object store of Deriva. `service.py` is where a request comes in."""
