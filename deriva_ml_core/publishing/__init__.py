"""
Executions from one catalog into another, with what they used and made: `deriva-ml-executions publish`.

Every row gets a RID of the other catalog, leased and written down (mapping.py) before the row is inserted. So whatever
kills it and however often it is repeated, a row is made once: an insert with a leased RID may be repeated.
"""

from __future__ import annotations

from .publish import Published, publish

__all__ = ["Published", "publish"]
