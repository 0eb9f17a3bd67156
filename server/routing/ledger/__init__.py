"""The ledger: what models cost, reserved before a call and settled after it, in the state Redis.

    ledger.py       the door: `Ledger.reserve`, and the hold it gives out
    lua/            each step as one atomic script
    ceilings.py     what the settings allow a user, a tenant and everyone per day
    upkeep.py       in the background: this server's heartbeat, orphans, questions to the provider
    webhook.py      tells the operator that a share of a ceiling is spent
    usage.py        reads it: sums by day, tier, model and user, and rows

Keys, all with the prefix `vestige:{money}:`; a day is a number, days since 1970 in UTC by Redis' clock:

    day:<day>               hash    what is charged and held by scope (`all`, `t/<tenant>`, `u/<digest>`)   3 days
    told:<day>              set     shares of ceilings that were reached                                   3 days
    hold:<id>               hash    an attempt that is not settled
    open:<server>           zset    a server's holds, by when they began
    servers                 zset    servers, by when they count as dead
    due, news               zset    holds to ask the provider about, events to tell; by when
    people, names           hash    tenant/user → pseudonym, and back; deleted with the person
    rows:<day>:<tenant>     stream  a row per attempt                                                     35 days
    sums:<day>:<tenant>, person:<day>:<pseudonym>    hash, spenders:<day>:<tenant> zset, tenants:<day> set 35 days
"""
