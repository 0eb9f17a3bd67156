"""What a store's failure becomes: one typed error with one sentence."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions as redis_errors

from server.errors import StoreUnavailable

__all__ = ["refuses_credentials", "store_errors"]

_REFUSALS = ("MISCONF", "NOREPLICAS", "READONLY", "BUSY", "UNKILLABLE")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def refuses_credentials(error: BaseException) -> bool:
    """Whether the store rejected user or password; redis-py wraps that in a connection error while it connects."""
    wrong = redis_errors.AuthenticationError
    return isinstance(error, wrong) or isinstance(error.__cause__, wrong)


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
    except (redis_errors.BusyLoadingError, redis_errors.MasterDownError) as error:
        raise StoreUnavailable(f"The {store} store is still loading: try again in a moment.", store=store) from error
    except (redis_errors.TimeoutError, TimeoutError) as error:
        raise StoreUnavailable(f"The {store} store did not answer in time: try again.", store=store) from error
    except redis_errors.ConnectionError as error:
        if refuses_credentials(error):
            raise StoreUnavailable(f"The {store} store refuses the server's credentials.", store=store) from error
        raise StoreUnavailable(f"The {store} store cannot be reached: try again in a moment.", store=store) from error
    except redis_errors.OutOfMemoryError as error:
        raise StoreUnavailable(f"The {store} store is full: nothing was saved.", store=store) from error
    except redis_errors.ResponseError as error:
        # redis-py cuts the code off the errors it has a class for
        if isinstance(error, redis_errors.ReadOnlyError) or str(error).startswith(_REFUSALS):
            raise StoreUnavailable(
                f"The {store} store takes nothing new now (is its disk full?): nothing was saved.", store=store
            ) from error
        raise
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"The {store} store cannot read or write its file.", store=store) from error
    except OSError as error:
        what = "has no disk space left" if error.errno in _FULL else "cannot be reached"
        raise StoreUnavailable(f"The {store} store {what}: try again in a moment.", store=store) from error
