"""What was said and what is remembered of it. `service.Memory` is the door; behind it:

    turns      taking turns            log        the state store: the tail, which windows live; scripts, lua/
    reading    prompts and history     windows    closed windows in Chroma; records, decoded, hot
    recall     finding what was said   ranking/   which turns answer a question; embedding/
    rewrite    edits, forgetting       derive     summaries and facts of windows; writer asks the model
    pages      looking at windows      summary    the rolling summary
    pins       notes that stay         upkeep     the work behind the turns
    erase      taking everything out   purge      … out of the stores' files; reindex after another embedder

A message lies in the *tail* (Redis, no expiry) until a *window* holds it (Chroma); the list of live windows in Redis is
the truth of which records count. Every step on either is one script that names the *epoch* it belongs to.
"""
