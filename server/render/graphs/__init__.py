"""Graphs as typed objects, from a request in the catalog's words to what one host is sent.

    request.py    PictureRequest: what a picture is made of
    nodes.py      Graph, Node, and what goes into nodes: files, words, links
    allowed.py    the node classes that are ever sent
    build.py      request → Graph
    key.py        Graph → the preview's key
    offer.py      what a host has: its node classes and its files
    localise.py   Graph → ComfyUI's API format, with the names as one host lists them
    check.py      whether a host can run it, in sentences

The module names are the doors; nothing is re-exported here, for the templates below use `nodes.py` too.
"""
