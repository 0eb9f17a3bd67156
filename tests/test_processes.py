"""Children end with the server, whichever way it ends."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from server.processes import plain_environment, spawn_child
from tests.stores.waiting import alive, until

MECHANISMS = ["kernel", "pipe"] if sys.platform == "linux" else ["pipe"]

PARENT = """
import sys, time
from server.processes import spawn_child
child = spawn_child([sys.executable, "-c", {child!r}], mechanism={mechanism!r}, stdout=sys.stdout, grace=0.2)
print("pid", child.pid, flush=True)
time.sleep(60)
"""
SLEEPER = "import time; time.sleep(60)"
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(1, flush=True)
time.sleep(60)
"""
STUBBORN = textwrap.dedent("""
    import signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print("helper", helper.pid, flush=True)
    time.sleep(60)
""")


def start_parent(mechanism: str, child: str) -> tuple[subprocess.Popen[str], dict[str, int]]:
    """A process that spawns `child`, and the pids that both of them printed."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(child=child, mechanism=mechanism)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert parent.stdout is not None
    lines = [parent.stdout.readline().split() for _ in range(1 + child.count("print("))]
    return parent, {name: int(pid) for name, pid in lines}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_child_is_gone_after_its_parent_was_killed(mechanism):
    parent, pids = start_parent(mechanism, SLEEPER)
    with parent:
        assert alive(pids["pid"])
        parent.kill()
    until(lambda: not alive(pids["pid"]))


def test_the_watcher_also_ends_a_child_that_ignores_sigterm_and_what_it_started():
    parent, pids = start_parent("pipe", STUBBORN)
    with parent:
        parent.kill()
    until(lambda: not alive(pids["pid"]) and not alive(pids["helper"]))


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_stop_asks_first(mechanism):
    child = spawn_child([sys.executable, "-c", POLITE], stdout=subprocess.PIPE, mechanism=mechanism)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
        assert await child.stop() == 7
    assert child.returncode == 7


async def test_stop_kills_what_does_not_listen():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    child = spawn_child([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
        assert await child.stop(grace=0.05) == -signal.SIGKILL


async def test_the_pid_is_the_program_s_own():
    child = spawn_child([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        assert int(output.read()) == child.pid
    assert await child.wait() == 0


async def test_ctrl_c_in_the_terminal_does_not_reach_it():
    code = "import os; print(os.getsid(0))"
    child = spawn_child([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        assert int(output.read()) == child.pid != os.getsid(0)
    await child.wait()


async def test_a_program_that_is_not_there_is_status_127_and_a_line():
    child = spawn_child(["/nowhere/program"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        assert output.read() == b"/nowhere/program: No such file or directory\n"
    assert await child.wait() == 127


@pytest.mark.skipif(sys.platform != "linux", reason="only the kernel's mechanism goes by threads")
def test_another_thread_may_not_spawn():
    errors: list[BaseException] = []

    def spawn() -> None:
        try:
            spawn_child([sys.executable, "-c", SLEEPER])
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_secrets_stay_out_of_a_child_s_environment(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-secret")
    assert plain_environment(EXTRA="1").items() >= {"EXTRA": "1", "PATH": os.environ["PATH"]}.items()
    assert "OPENROUTER_API_KEY" not in plain_environment()
