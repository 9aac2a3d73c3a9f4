"""Becomes a program: sets limits, user and privileges, then execs. Standard library only; run with `python -I -S`.

The last golive code in an instance's process. It reads one marshalled dictionary (the parent is the same interpreter;
importing json would cost 8 ms of every start) from the descriptor given first:

    argv, env, cwd, uid, gid, groups, files, nice, cgroups, private, no_new_privileges

and execs `argv` with `env`. Nothing secret is in this process's own argv or environment. A failure before the exec is
written to the second descriptor as one line; on success exec closes it (close-on-exec), which is how the parent knows.

Why a program and not `preexec_fn`: code between fork and exec in a threaded daemon may deadlock, and `setpriv` and
`prlimit` are not on macOS.
"""

import ctypes
import marshal
import os
import resource
import sys

PR_SET_NO_NEW_PRIVS = 38


def become(spec: dict) -> None:  # type: ignore[type-arg] # typing costs 3 ms of start-up
    for path in spec["cgroups"]:
        with open(path, "w") as tasks:  # noqa: PTH123 - pathlib costs 4 ms of start-up here
            tasks.write(str(os.getpid()))
    if spec["files"]:
        limit_files(spec["files"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec["nice"]:
        give_way(spec["nice"])
    os.umask(0o077 if spec["private"] else 0o022)
    if spec["uid"] is not None and os.geteuid() == 0:
        os.setgroups(spec["groups"])
        os.setgid(spec["gid"])
        os.setuid(spec["uid"])
    if spec["no_new_privileges"] and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(spec["cwd"])
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - an argument list, no shell


def leave(report: int) -> None:
    """Go on as init's child, in a session of our own; the number to know us by is reported."""
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == parent:
        os.sched_yield()
    os.write(report, f"{os.getpid()}\n".encode())


def limit_files(wanted: int) -> None:
    """Soft and hard for root; up to the hard limit that is there for everybody else."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if os.geteuid() == 0:
        hard = wanted
    elif hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except ValueError:  # root in a container that may not raise limits
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))


def give_way(nice: int) -> None:
    """This session comes after the others, on the processor and the disk. `nice` alone counts only among its own
    processes where Linux shares the processor out by session (sched(7), autogroup)."""
    os.nice(nice)
    idle_io()
    try:
        with open("/proc/self/autogroup", "w") as group:  # noqa: PTH123 - as above
            group.write(str(nice))
    except OSError:  # another system, or a kernel without it
        return


def idle_io() -> None:
    """The lowest best-effort I/O class, as `ionice -c 2 -n 7`; glibc has no wrapper, so the number is per machine."""
    number = {"x86_64": 251, "aarch64": 30}.get(os.uname().machine)
    if sys.platform == "linux" and number:
        ctypes.CDLL(None).syscall(number, 1, 0, (2 << 13) | 7)


def main() -> None:
    source, report = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(report, False)
    if sys.argv[3:] == ["orphan"]:
        leave(report)
    with os.fdopen(source, "rb") as document:
        try:
            spec = marshal.load(document)  # noqa: S302 - written by our own parent, on a private pipe
        except EOFError:  # our parent is gone: nobody would know of us
            os._exit(127)
    try:
        become(spec)
    except OSError as error:
        os.write(report, f"{error.filename or spec['argv'][0]}: {error.strerror}".encode(errors="replace"))
        os._exit(127)
    except ValueError as error:  # a NUL byte in an argument or variable, a limit the kernel refuses
        os.write(report, str(error).encode(errors="replace"))
        os._exit(127)


if __name__ == "__main__":
    main()
