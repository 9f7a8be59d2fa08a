"""Run a command and make sure that it ends when whoever asked for it does.

    python -I -S guard.py SIGNAL GRACE USER DIRECTORY COMMAND [ARGUMENT...]

SIGNAL (a number) stops the command, SIGKILL follows GRACE seconds later. USER is `uid:gid`, or `-`
for our own. The command runs in DIRECTORY with its output on our stderr. Our stdout says its pid,
or `!` and the reason why it did not start; our stdin is the lifeline: when its other end closes,
be it by kill -9, the command is stopped. SIGTERM, SIGINT and SIGHUP do the same. We exit with the
command's status, or 128 and the number of the signal that ended it.

Nothing but the standard library and no other module of ours: this starts in some 20 ms, many times.
"""

import ctypes
import os
import select
import signal
import sys
import time

LIFELINE = 0
PR_SET_PDEATHSIG = 1
STOP_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    stop, grace, user, directory, *command = sys.argv[1:]
    wake = _wake_on_signals()
    child = _start(command, user, directory, int(stop))
    _say(str(child))
    code = os.waitstatus_to_exitcode(_watch(child, int(stop), float(grace), wake))
    sys.exit(code if code >= 0 else 128 - code)


def _wake_on_signals() -> int:
    """Return a descriptor on which every signal's number can be read as a byte."""
    wake, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (*STOP_REQUESTS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return wake


def _start(command: list[str], user: str, directory: str, stop: int) -> int:
    """Return the pid of the command once it really runs; exit with 127 if it cannot."""
    trouble, write = os.pipe()  # closed by a successful exec
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, user, directory, stop, guard, write)
    os.close(write)
    with os.fdopen(trouble, "rb") as reader:
        if reason := reader.read():
            os.waitpid(child, 0)
            _say("!" + reason.decode(errors="replace"))
            sys.exit(127)
    return child


def _become(
    command: list[str], user: str, directory: str, stop: int, guard: int, trouble: int
) -> None:
    try:
        os.setsid()  # a terminal's Ctrl-C is for our parent, who knows the order of stopping
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        if user != "-":
            _drop_to(user)
        os.chdir(directory)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would keep that
        _die_with(guard, stop)
        os.execvp(command[0], command)  # noqa: S606  (no shell is the point)
    except OSError as error:
        os.write(trouble, str(error).encode())
    os._exit(127)


def _drop_to(user: str) -> None:
    uid, gid = map(int, user.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with(guard: int, stop: int) -> None:
    """Let Linux stop us should the guard itself be killed; a change of user would undo it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(127)


def _watch(child: int, stop: int, grace: float, wake: int) -> int:
    """Return the child's wait status, after stopping it if that is asked for."""
    status = _until_asked(child, wake)
    if status is None:
        os.kill(child, stop)
        status = _until_late(child, wake, time.monotonic() + grace)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return status


def _until_asked(child: int, wake: int) -> int | None:
    """Return the wait status if the child ends by itself, None as soon as it has to be stopped."""
    status = None
    while status is None:
        ready, _, _ = select.select([LIFELINE, wake], [], [])
        if LIFELINE in ready or set(os.read(wake, 64)).intersection(STOP_REQUESTS):
            return None
        status = _reaped(child)
    return status


def _until_late(child: int, wake: int, deadline: float) -> int | None:
    status = _reaped(child)
    while status is None and (left := deadline - time.monotonic()) > 0:
        if select.select([wake], [], [], left)[0]:
            os.read(wake, 64)
        status = _reaped(child)
    return status


def _reaped(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return status if pid else None


def _say(line: str) -> None:
    try:  # noqa: SIM105  (contextlib would be a fifth of our start)
        os.write(1, (line + "\n").encode())
    except BrokenPipeError:
        pass  # our parent is gone: the lifeline will tell


if __name__ == "__main__":
    main()
