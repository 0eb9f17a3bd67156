"""A process whose freed memory is overwritten."""

import json
import os
import platform
import subprocess
import sys

import pytest

from server.stores.scrub import scrubbed_environment

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to")


@glibc
def test_the_environment_asks_for_it_once_and_keeps_what_was_there() -> None:
    once = scrubbed_environment({"HOME": "/home/ann", "GLIBC_TUNABLES": "glibc.malloc.arena_max=2"})
    assert once["HOME"] == "/home/ann"
    assert once["GLIBC_TUNABLES"].split(":")[0] == "glibc.malloc.arena_max=2"
    assert "glibc.malloc.perturb=" in once["GLIBC_TUNABLES"]
    assert scrubbed_environment(once) == once


@glibc
def test_a_program_begins_itself_again_once_and_its_children_do_not() -> None:
    program = (
        "import json, os, sys; from server.stores.scrub import restart_scrubbed; print('begun', flush=True);"
        "restart_scrubbed(); print(json.dumps([sys.argv, os.getpid(), 'GLIBC_TUNABLES' in os.environ]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "one", "two words"], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        lines = process.communicate(timeout=30)[0].splitlines()
    assert lines[:2] == ["begun", "begun"]
    assert json.loads(lines[2]) == [["-c", "one", "two words"], process.pid, False]


@glibc
def test_what_is_freed_is_overwritten() -> None:
    program = (
        "import ctypes; c = ctypes.CDLL(None);"
        "c.malloc.restype = ctypes.c_void_p; c.malloc.argtypes = [ctypes.c_size_t];"
        "c.free.argtypes = [ctypes.c_void_p]; place = c.malloc(400); ctypes.memmove(place, b'secret words' * 30, 360);"
        "c.free(place); print(b'secret words' in ctypes.string_at(place, 400))"
    )
    left = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30
        ).stdout.strip()
        for environment in (dict(os.environ), scrubbed_environment(os.environ))
    ]
    assert left == ["True", "False"]
