"""What a store's failure becomes: one typed error with one sentence."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions as redis_errors

from server.errors import StoreUnavailable

__all__ = ["store_errors"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def store_errors(store: str) -> Iterator[None]:
    """Turns a failure of the named store ("memory", "cache", "index" …) into `StoreUnavailable`.

    Only failures of the store itself are: a wrong argument stays the bug it is. Chroma's own errors are turned by
    `ChromaShards`, which alone calls it.

    Raises:
        StoreUnavailable: not reachable, too slow, restarting, full or broken.
    """
    try:
        yield
    except redis_errors.AuthenticationError as error:
        raise StoreUnavailable(f"The {store} store refuses the server's credentials.", store=store) from error
    except (redis_errors.BusyLoadingError, redis_errors.MasterDownError) as error:
        raise StoreUnavailable(f"The {store} store is still loading: try again in a moment.", store=store) from error
    except (redis_errors.TimeoutError, TimeoutError) as error:
        raise StoreUnavailable(f"The {store} store did not answer in time: try again.", store=store) from error
    except redis_errors.ConnectionError as error:
        raise StoreUnavailable(f"The {store} store cannot be reached: try again in a moment.", store=store) from error
    except redis_errors.OutOfMemoryError as error:
        raise StoreUnavailable(f"The {store} store is full: nothing was saved.", store=store) from error
    except redis_errors.ResponseError as error:
        if str(error).startswith(("MISCONF", "NOREPLICAS", "READONLY", "BUSY", "UNKILLABLE")):
            raise StoreUnavailable(f"The {store} store cannot write now: see the server's log.", store=store) from error
        raise
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"The {store} store cannot read or write its file.", store=store) from error
    except OSError as error:
        what = "has no disk space left" if error.errno in _FULL else "cannot be reached"
        raise StoreUnavailable(f"The {store} store {what}: try again in a moment.", store=store) from error
