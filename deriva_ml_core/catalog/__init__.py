"""
Sessions with a catalog: the only room that imports `deriva`, and the only one that speaks HTTP to a server.

    session.py     CatalogSession: connect, requests, model, snapshots
    model.py       CatalogModel: a frozen view of the catalog's tables.py
    rows.py        rows in bulk, found by filters.py
    vocabulary.py  terms
    objects.py     files to and from Hatrac: sending.py, fetching.py, arriving.py, checksums.py
    http.py        the client below: repeats, time-outs, errors

Import from the modules; this package loads none of them by itself.
"""
