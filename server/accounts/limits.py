"""How often: turns of a user, requests of a key and of an address, wrong credentials. Counted in Redis for all servers.

A policy is a sliding window of a minute: what is left of the minute before counts in proportion. All policies of a
request are counted in one script, or none of them where one has no room.
"""

import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from server.errors import RateLimited

WRONG_PER_MINUTE = 30
WINDOW_SECONDS = 60
_PREFIX = "vestige:accounts:{limit}:"

_COUNTING = """
-- names: one hash for each subject: slot (which minute), now (counted in it), before (counted in the one before)
-- -> {milliseconds until the one that has no room has some, or 0; milliseconds the minute lasts; what is left of each}
local function count(names, window, quotas)
  local time = redis.call('TIME')
  local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local slot = math.floor(ms / window)
  local gone = ms - slot * window
  local wait, seen, left = 0, {}, {}
  for i, name in ipairs(names) do
    local quota = tonumber(quotas[i])
    local h = redis.call('HMGET', name, 'slot', 'now', 'before')
    local at, now, before = tonumber(h[1] or '-2'), tonumber(h[2] or '0'), tonumber(h[3] or '0')
    if at == slot - 1 then now, before = 0, now elseif at ~= slot then now, before = 0, 0 end
    local used = now + before * (window - gone) / window
    if used + 1 > quota then
      local until_room -- of this minute's or, where it is full by itself, of the next one's
      if now + 1 <= quota then
        until_room = window * (1 - (quota - 1 - now) / before) - gone
      else
        until_room = window - gone + window * (1 - (quota - 1) / now)
      end
      wait = math.max(wait, math.ceil(until_room), 1)
    end
    seen[i], left[i] = {now, before}, math.max(0, math.floor(quota - used))
  end
  if wait == 0 then
    for i, name in ipairs(names) do
      redis.call('HSET', name, 'slot', string.format('%.0f', slot), 'now', seen[i][1] + 1, 'before', seen[i][2])
      redis.call('PEXPIRE', name, 2 * window)
      left[i] = math.max(0, left[i] - 1)
    end
  end
  return {wait, window - gone, unpack(left)}
end
"""
COUNT = f"""{_COUNTING}
-- ARGV window (milliseconds), then a quota for each of KEYS
return count(KEYS, tonumber(ARGV[1]), {{unpack(ARGV, 2)}})
"""
COUNT_BEARER = f"""{_COUNTING}
-- KEYS the record of a credential, then as for COUNT. ARGV what its `secret` must be, then as for COUNT
-- -> {{the record; what counting came to, nothing where the secret is another}}
local record = redis.call('HGETALL', KEYS[1])
for i = 1, #record, 2 do
  if record[i] == 'secret' and record[i + 1] == ARGV[1] then
    return {{record, count({{unpack(KEYS, 2)}}, tonumber(ARGV[2]), {{unpack(ARGV, 3)}})}}
  end
end
return {{record, {{}}}}
"""


@dataclass(frozen=True, slots=True)
class Quota:
    """So many in a minute for one subject. `policy` is the name that clients see; `text` the refusal."""

    policy: str
    subject: str
    quota: int
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a policy stands for its subject: `left` of `quota`, renewed within `seconds`."""

    policy: str
    quota: int
    left: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What counting came to. `refusal` None: there was room everywhere, and it was counted."""

    standings: Sequence[Standing]
    refusal: RateLimited | None


UNCOUNTED = Counted((), None)


class Limits:
    """Counts against quotas in the state Redis."""

    def __init__(self, state: Redis) -> None:
        self._state = state
        self._count = state.register_script(COUNT)
        self._count_bearer = state.register_script(COUNT_BEARER)

    async def count(self, *quotas: Quota) -> Counted:
        """Counts one event against each quota, or against none where one of them has no room."""
        return _counted(quotas, await self._count(keys=_keys(quotas), args=_args(quotas)))

    async def count_bearer(self, record: str, secret: str, quotas: Sequence[Quota]) -> tuple[dict[str, str], Counted]:
        """Reads a credential's record and counts its bearer's request, in one step.

        Nothing is counted where the record's `secret` is not `secret`. Both are hashes: how long it takes to compare
        them says nothing of what they were made from.
        """
        flat, answer = await self._count_bearer(keys=[record, *_keys(quotas)], args=[secret, *_args(quotas)])
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return fields, _counted(quotas, answer) if answer else UNCOUNTED

    async def forget(self, tenant: str, user: str) -> None:
        """Takes a user out of what is counted."""
        await self._state.delete(*(_key(policy, f"{tenant}/{user}") for policy in ("turns", "user")))


def turns(tenant: str, user: str, per_minute: int) -> Quota:
    """Turns of a user, by their plan."""
    text = "That is more than {quota} messages in a minute: try again in {seconds} s."
    return Quota("turns", f"{tenant}/{user}", per_minute, text)


def requests_of_key(id: str, per_minute: int) -> Quota:
    """Requests with one API key."""
    return Quota("key", id, per_minute, "This key sent more than {quota} requests in a minute: wait {seconds} s.")


def requests_of_user(tenant: str, user: str, per_minute: int) -> Quota:
    """Requests of a person whose tokens another product signs."""
    return Quota("user", f"{tenant}/{user}", per_minute, "More than {quota} requests in a minute: wait {seconds} s.")


def requests_from(address: str, per_minute: int) -> Quota:
    """Requests from one address."""
    text = "Your address sent more than {quota} requests in a minute: wait {seconds} s."
    return Quota("address", network(address), per_minute, text)


def wrong_credentials(address: str) -> Quota:
    """Wrong credentials from one address. A good one is never turned away for it."""
    text = "Too many wrong credentials came from your address: try again in {seconds} s."
    return Quota("wrong-credentials", network(address), WRONG_PER_MINUTE, text)


def network(remote: str) -> str:
    """Whom an address stands for: itself, or for IPv6 its /64, which one customer has whole."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((address, 64), strict=False).network_address)


def _keys(quotas: Sequence[Quota]) -> list[str]:
    return [_key(quota.policy, quota.subject) for quota in quotas]


def _args(quotas: Sequence[Quota]) -> list[Any]:
    return [WINDOW_SECONDS * 1000, *(quota.quota for quota in quotas)]


def _counted(quotas: Sequence[Quota], answer: Sequence[int]) -> Counted:
    wait, rest, *left = answer
    seconds = math.ceil(rest / 1000)
    standings = [Standing(each.policy, each.quota, room, seconds) for each, room in zip(quotas, left, strict=True)]
    if not wait:
        return Counted(standings, None)
    full = next(each for each, room in zip(quotas, left, strict=True) if room < 1)
    retry_after = math.ceil(wait / 1000)
    refusal = RateLimited(
        full.text.format(quota=full.quota, seconds=retry_after), retry_after=retry_after, policy=full.policy
    )
    return Counted(standings, refusal)


def _key(policy: str, subject: str) -> str:
    return f"{_PREFIX}{policy}:{subject}"
