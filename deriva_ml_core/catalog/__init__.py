"""
Sessions with a catalog: the only room that imports `deriva`, and the only one that speaks HTTP to a server.

    session.py     CatalogSession: connect, requests, model, snapshots
    model.py       CatalogModel: tables, columns, associations, as a frozen view
    rows.py        rows in bulk
    vocabulary.py  terms
    objects.py     files to and from Hatrac
    http.py        the client below: repeats, time-outs, errors

Import from the modules; this package loads none of them by itself.
"""
