"""A store's failure is one typed error; a bug stays a bug."""

import errno
import sqlite3

import pytest
import redis.exceptions as redis_errors

from server.errors import StoreUnavailable
from server.stores.errors import store_errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (redis_errors.ConnectionError("refused"), "cannot be reached"),
        (redis_errors.BusyLoadingError("loading"), "still loading"),
        (redis_errors.TimeoutError("slow"), "did not answer in time"),
        (TimeoutError(), "did not answer in time"),
        (redis_errors.AuthenticationError("no"), "refuses the server's credentials"),
        (redis_errors.OutOfMemoryError("command not allowed"), "is full"),
        (redis_errors.ReadOnlyError("replica"), "takes nothing new"),
        (redis_errors.ResponseError("MISCONF Errors writing to the AOF file"), "takes nothing new"),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas to write."), "takes nothing new"),
        (sqlite3.OperationalError("disk I/O error"), "cannot read or write its file"),
        (OSError(errno.ENOSPC, "No space left on device"), "has no disk space left"),
        (ConnectionResetError(), "cannot be reached"),
    ],
)
def test_a_failure_of_the_store_is_unavailable(error, message):
    with pytest.raises(StoreUnavailable, match=message) as caught, store_errors("memory"):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.payload()["error"]["details"] == {"store": "memory"}


@pytest.mark.parametrize("error", [redis_errors.ResponseError("WRONGTYPE"), redis_errors.DataError("x"), ValueError()])
def test_a_bug_stays_what_it_is(error):
    with pytest.raises(type(error)), store_errors("memory"):
        raise error
