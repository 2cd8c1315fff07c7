"""What each kind of process of trtop keeps: system calls, files, TCP ports, whom it may signal.

Takes a kind of process and what its settings add; confines the process for good, by Landlock and by
seccomp, as far as this kernel has them, and says what holds. Which system calls a kind makes was
observed (``syscalls``); to these come their equivalents on other machines and what errors take.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from trtop_daemon.system import landlock, seccomp
from trtop_daemon.system.landlock import READ, Access, Rules
from trtop_daemon.system.seccomp import Argument, Filter
from trtop_daemon.system.syscalls import OBSERVED, Kind

Files = tuple[tuple[str, int], ...]

DNS_PORT = 53

EQUIVALENT = (
    ("access", "faccessat", "faccessat2"),
    ("accept", "accept4"),
    ("clock_gettime", "clock_getres", "gettimeofday", "time"),
    ("clock_nanosleep", "nanosleep"),
    ("dup", "dup2", "dup3"),
    ("epoll_create", "epoll_create1"),
    ("epoll_wait", "epoll_pwait", "epoll_pwait2"),
    ("getdents", "getdents64"),
    ("getrlimit", "prlimit64"),
    ("mkdir", "mkdirat"),
    ("open", "openat"),
    ("pipe", "pipe2"),
    ("poll", "ppoll"),
    ("read", "readv", "pread64", "preadv"),
    ("readlink", "readlinkat"),
    ("recvfrom", "recvmsg"),
    ("rename", "renameat", "renameat2"),
    ("select", "pselect6"),
    ("sendto", "sendmsg"),
    ("stat", "lstat", "fstat", "newfstatat", "statx"),
    ("unlink", "unlinkat", "rmdir"),
    ("wait4", "waitid"),
    ("write", "writev", "pwrite64"),
)
"""Calls that do the same: which of them is made is up to the C library and the architecture."""

ALWAYS = frozenset({
    # Memory, locks and the end, also where something fails.
    "brk", "mmap", "mprotect", "mremap", "munmap", "madvise", "mincore", "membarrier",
    "futex", "rseq", "set_robust_list", "sched_yield", "sched_getaffinity", "restart_syscall",
    "exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    # What a traceback, a log line and a random seed take.
    "close", "fcntl", "fstat", "getrandom", "getpid", "gettid", "lseek", "openat", "read", "write",
    "getcwd", "getuid", "geteuid", "getgid", "getegid", "sysinfo", "uname", "clock_gettime",
})  # fmt: skip

ZEROMQ = frozenset({
    "accept4", "bind", "close", "connect", "epoll_create1", "epoll_ctl", "epoll_wait", "eventfd2",
    "getpeername", "getsockname", "getsockopt", "listen", "poll", "recvfrom", "sendto",
    "setsockopt", "shutdown", "unlink",
    "prctl", "sched_getparam", "sched_getscheduler", "sched_setscheduler",
})  # fmt: skip
"""What libzmq may call at any time; it ends the process where the system refuses some of them."""

SHOWING = frozenset({
    "access", "clock_nanosleep", "dup2", "ftruncate", "getdents64", "ioctl", "mkdir", "poll",
    "rename", "select", "umask", "unlink", "wait4",
})  # fmt: skip
"""What the screen, saved reports, a pipe that breaks and a daemon of one's own take."""

INTERNET = ZEROMQ | {"sendmmsg", "socket"}
"""What looking up names takes, and what is asked then."""

SERVING = frozenset({
    # A capture process is ordered anew, or killed; a socket's file is made anew.
    "eventfd2", "memfd_create", "pidfd_open", "pidfd_send_signal", "pipe2", "sendmsg", "wait4",
    "capget", "flock", "ftruncate", "rename", "setresgid", "setresuid", "umask", "unlink",
})  # fmt: skip
"""What the main process calls seldom."""

FORKING = frozenset({"clock_nanosleep", "clone", "prctl", "seccomp", "wait4"})
"""What takes starting a worker, in it as far as it is not confined yet, and missing it."""

DEADLY = frozenset({
    # Another program, another process's memory, the kernel itself: no library ever needs them here.
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "bpf", "userfaultfd",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "swapon", "swapoff", "acct",
    "open_by_handle_at", "perf_event_open", "add_key", "request_key", "keyctl", "iopl", "ioperm",
    "settimeofday", "clock_settime", "sethostname", "setdomainname", "quotactl", "syslog",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "fsopen", "fsmount", "move_mount",
    "open_tree", "mount_setattr",
})  # fmt: skip
"""End the process: nothing but an attacker calls them after the start."""

ABSENT = frozenset({"clone3"})
"""Keeps what it makes where no filter can see it; C libraries then call clone."""

# clone(2), prctl(2), ioctl_tty(2), socket(2)
_CLONE_THREAD = 0x0001_0000
_CLONE_NEW = 0x7E02_0000
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 1, 15, 16, 0x5356_4D41
_PR_CAPBSET_DROP, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 8, 38, 47
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_PACKET = 1, 2, 10, 16, 17

NAME_FILES: Files = tuple(
    (path, READ)
    for path in (
        *(
            "/etc/hosts",
            "/etc/host.conf",
            "/etc/resolv.conf",
            "/etc/nsswitch.conf",
            "/etc/gai.conf",
        ),
        *("/etc/services", "/etc/protocols", "/etc/networks", "/etc/ethers"),
        *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"),
    )
)
"""What names of hosts and services are looked up in; a resolv.conf is often a link."""

SYSTEM_STATE: Files = (("/proc", READ), ("/sys", READ))
"""Where the kernel tells of interfaces, and of this process."""


class Grants(NamedTuple):
    """What a process keeps besides what all of its kind do.

    Attributes:
        files: paths, and what may be done beneath.
        listens: TCP ports that it may listen at from now on; 0: any that the system chooses.
        connects: TCP ports that it may connect to; None: any.
        uses_internet: it may make sockets of IPv4 and IPv6.
        signals: numbers of processes that it may signal, besides its own.
        forks: it may fork itself; what it forks may confine itself further.
    """

    files: Files = ()
    listens: tuple[int, ...] = ()
    connects: tuple[int, ...] | None = ()
    uses_internet: bool = False
    signals: tuple[int, ...] = ()
    forks: bool = False


class Confinement(NamedTuple):
    """What holds in this process.

    Attributes:
        landlock_abi: version of Landlock; 0: none.
        has_seccomp: system calls are filtered.
    """

    landlock_abi: int
    has_seccomp: bool

    @property
    def lack(self) -> str:
        """What does not hold, as one line; empty if everything does."""
        lacking = []
        if not self.landlock_abi:
            lacking.append("files and TCP are not confined: this kernel has no Landlock")
        if not self.has_seccomp:
            lacking.append("system calls are not confined: this kernel has no seccomp filters")
        return "; ".join(lacking)

    def __str__(self) -> str:
        held = []
        if self.landlock_abi:
            held.append(f"files and TCP (Landlock {self.landlock_abi})")
        if self.has_seccomp:
            held.append("system calls (seccomp)")
        return " and ".join(held) or "nothing"


def available() -> Confinement:
    """What would hold here; changes nothing."""
    return Confinement(landlock.abi(), seccomp.is_there())


def confine(kind: Kind, grants: Grants) -> Confinement:
    """Confine this process for good: files and TCP for the calling thread, calls for all threads.

    What the kernel lacks, or refuses, is not confined: what is watched in an incident goes on.
    """
    return Confinement(confine_files(kind, grants), confine_calls(kind, grants))


def confine_files(kind: Kind, grants: Grants) -> int:
    """Confine the calling thread, and those that it starts; the version of Landlock that holds."""
    rules = Rules(
        files=(*_code_files(), *_files_of(kind), *grants.files),
        bind_ports=grants.listens,
        connect_ports=grants.connects,
        own_signals_only=not grants.signals,
        own_abstract_sockets_only=kind is not Kind.SCREEN,
    )
    try:
        return landlock.restrict(rules)
    except OSError:
        return 0


def confine_calls(kind: Kind, grants: Grants) -> bool:
    """Confine what all threads of this process call; whether that holds."""
    try:
        return seccomp.install(filter_of(kind, grants))
    except OSError:
        return False


def keep_to_own_processes() -> None:
    """Let signals and abstract sockets reach only what this process starts, where that is known.

    To be called before anything is started that is to be signalled later.
    """
    try:
        landlock.restrict(Rules(files=None, bind_ports=None, connect_ports=None))
    except OSError:
        return


def call_without_files(function: Callable[[], object]) -> None:
    """Call a function in a thread that may open no file and no TCP port, and wait for it.

    Threads that a library starts there, and keeps, stay like that: Landlock belongs to a thread.
    """
    import threading  # noqa: PLC0415 - who reads a file starts no thread

    def run() -> None:
        try:
            landlock.restrict(Rules(files=(("/dev/urandom", Access.READ_FILE),)))
        finally:
            function()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def filter_of(kind: Kind, grants: Grants) -> Filter:
    """The system calls that a kind of process may make."""
    allowed = ALWAYS | OBSERVED[kind]
    if kind is Kind.LAUNCHER:  # what it forks has its filter and one more
        allowed |= OBSERVED[Kind.CAPTURE]
    if kind is not Kind.FILE:
        allowed |= ZEROMQ
    if kind is Kind.MAIN:
        allowed |= SERVING
    if kind in (Kind.FILE, Kind.SCREEN):
        allowed |= SHOWING
    if grants.uses_internet:
        allowed |= INTERNET
    if grants.forks:
        allowed |= FORKING
    for names in EQUIVALENT:
        if not allowed.isdisjoint(names):
            allowed |= frozenset(names)
    conditions = {
        "clone": Argument(0, with_bits=_CLONE_THREAD),
        "ioctl": Argument(1, (_TIOCSTI, _TIOCLINUX), unless=True),
        "prctl": Argument(0, _prctl_of(kind, grants)),
        "socket": Argument(0, _families_of(kind, grants)),
        "socketpair": Argument(0, (_AF_UNIX,)),
    }
    if kind is Kind.LAUNCHER or grants.forks:
        conditions["clone"] = Argument(0, unless=True, with_bits=_CLONE_NEW)
    own = (os.getpid(), *grants.signals)
    conditions |= {name: Argument(0, own) for name in ("kill", "tgkill")}
    return Filter(allowed - DEADLY - ABSENT, DEADLY, conditions, ABSENT)


def _families_of(kind: Kind, grants: Grants) -> tuple[int, ...]:
    internet = (_AF_INET, _AF_INET6)
    families = {
        Kind.CAPTURE: (),
        Kind.LAUNCHER: (_AF_UNIX, _AF_NETLINK, _AF_PACKET, *internet),
        Kind.MAIN: (_AF_UNIX, _AF_NETLINK),
        Kind.SCREEN: (_AF_UNIX, _AF_NETLINK),
        Kind.FILE: (),
        Kind.EXPORTER: (_AF_UNIX,),
    }[kind]
    if grants.uses_internet:
        families = (*dict.fromkeys((*families, _AF_UNIX, _AF_NETLINK, *internet)),)
    return families


def _prctl_of(kind: Kind, grants: Grants) -> tuple[int, ...]:
    names = (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)
    if grants.forks:
        return (*names, _PR_SET_NO_NEW_PRIVS, _PR_SET_PDEATHSIG)
    if kind is not Kind.LAUNCHER:
        return names
    # A forked capture process gives up the rest, and confines itself further.
    dropped = (_PR_CAPBSET_DROP, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT)
    return (*names, *dropped, _PR_SET_PDEATHSIG)


def _code_files() -> Files:
    """Where Python, its modules, ours, and the system's libraries and tables are."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    own = [os.path.join(os.path.dirname(here), name) for name in ("trtop", "trtop_core")]
    working = os.getcwd() if os.path.isdir(".") else ""
    paths = [
        here,
        *own,
        *(entry for entry in sys.path if entry and os.path.abspath(entry) != working),
        os.path.dirname(os.__file__),
        *("/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ld.so.cache"),
    ]
    devices = (("/dev/null", READ | Access.WRITE_FILE), ("/dev/urandom", READ))
    return (*((path, READ) for path in dict.fromkeys(paths)), *devices)


def _files_of(kind: Kind) -> Files:
    if kind is Kind.CAPTURE:
        return SYSTEM_STATE
    if kind in (Kind.LAUNCHER, Kind.MAIN):
        return (*SYSTEM_STATE, *NAME_FILES)
    return ()


def terminal_files(environ: Mapping[str, str]) -> Files:
    """What drawing on a terminal takes: its description (terminfo(5)), and the terminal itself."""
    home = environ.get("HOME", "")
    folders = ["/etc/terminfo", environ.get("TERMINFO", "")]
    folders += environ.get("TERMINFO_DIRS", "").split(":")
    folders += [os.path.join(home, ".terminfo")] if home else []
    return (
        *((path, READ) for path in folders if path),
        ("/dev/tty", READ | Access.WRITE_FILE | Access.IOCTL_DEV),
    )


def folder_of(path: str) -> str:
    """The folder that a path is in."""
    return os.path.dirname(os.path.abspath(path))
