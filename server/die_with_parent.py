"""Run as a script by `server.processes`: arranges for this process to end with its parent, then becomes the child.

    python -I -S die_with_parent.py kernel:<parent pid>:<signal> program argument…
    python -I -S die_with_parent.py pipe:<fd>:<signal>:<seconds> program argument…

It imports nothing but the standard library, because it runs without site-packages. Being a separate program, it spares
the server `preexec_fn`, which may deadlock in a process that has threads.

* `kernel`: Linux delivers `signal` when the parent's spawning *thread* ends (prctl(2), PR_SET_PDEATHSIG), however it
  ended. No third process takes part, so there is none whose death would break the promise.
* `pipe`: everywhere else. A small watcher stays behind, in the child's process group, on a pipe whose other end only
  the parent holds. At the end of that pipe it signals the group, waits some seconds and kills it. The group cannot be
  another's by then: the watcher itself is in it, so its id is not free.
"""

import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def _ask_kernel(parent: int, number: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before we asked: nobody will tell us any more
        os._exit(1)


def _leave_watcher(fd: int, number: int, seconds: float) -> None:
    """Forks twice, so that the watcher is no child of the program, which may count its children."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        os.close(fd)
        return
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # not one descriptor of the program stays open here: neither its lock nor its output
    os.dup2(fd, 3)
    limit = os.sysconf("SC_OPEN_MAX")
    os.closerange(4, limit if 0 < limit < 65_536 else 65_536)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.read(3, 1)
    os.killpg(0, number)
    leader, end = os.getpgrp(), time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(leader, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    kind, first, number, *rest = sys.argv[1].split(":")
    if kind == "kernel":
        _ask_kernel(int(first), int(number))
    else:
        _leave_watcher(int(first), int(number), float(rest[0]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - argv comes from the server itself
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main()
