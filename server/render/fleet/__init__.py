"""The ComfyUI hosts: which there are, how they do, and which of them renders what.

config.py     hosts from the settings
types.py      HostState, Needs, Claim
schedule.py   the choice as a pure function: state in, decision out
state.py      what all workers know together, in Redis
look.py       looks at one host
fleet.py      the door
"""
