"""A client that keeps a history of its own sends it with every call. What it shows is made out against what is stored.

sent.py       the request's messages: what was said, and what the client says beside it
tasks.py      calls that are about a conversation and no part of it: titles, tags, summaries
align.py      which sent message is which stored one
plan.py       the rules: stored + sent → what changes, and whether to answer, answer again or go on
answering.py  carries a plan out
"""
