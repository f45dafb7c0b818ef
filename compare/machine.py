# SPDX-License-Identifier: BSD-3-Clause
"""What the numbers were measured on: enough to compare, nothing that names the machine."""
import os
import re
import subprocess

# Each as its header says, because not every library has a pkg-config file.
LIBRARIES = {
    "libevent": ("event2/event-config.h", "EVENT__VERSION"),
    "libuv": ("uv/version.h", "UV_VERSION_MAJOR.UV_VERSION_MINOR.UV_VERSION_PATCH"),
    "libev": ("ev.h", "EV_VERSION_MAJOR.EV_VERSION_MINOR"),
    "asio": ("asio/version.hpp", "ASIO_VERSION"),
}

SERVERS = {
    "rsyslog": ["rsyslogd", "-v"],
    "redis": ["redis-server", "--version"],
    "nats": ["nats-server", "--version"],
}


def output(command, **options):
    """What a command prints; nothing when it cannot be run or fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
                              **options)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def library_version(name):
    header, macro = LIBRARIES[name]
    # The preprocessor puts blanks between the parts.
    text = output(["cc", "-E", "-P", "-x", "c", "-"], input="#include <%s>\n%s\n" % (header, macro))
    version = re.sub(r'[ "]', "", text.splitlines()[-1]) if text else ""
    if name == "asio" and version:
        version = "%d.%d.%d" % (int(version) // 100000, int(version) // 100 % 1000, int(version) % 100)
    return version


def commit(root):
    """The commit that was measured, and whether what is compiled differs from it."""
    head = output(["git", "-C", root, "rev-parse", "--short", "HEAD"])
    if not head:
        return "no commit"
    changed = output(["git", "-C", root, "status", "--porcelain", "--", "lib", "app", "include", "compare/*.[ch]*"])
    return "commit " + head + (" and changes" if changed else "")


def describe(weir, root):
    """A dictionary of words for people."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    version = output([weir, "--version"])
    libraries = {name: library_version(name) for name in LIBRARIES}
    libraries["liburing"] = output(["pkg-config", "--modversion", "liburing"])
    libraries["sqlite"] = output(["pkg-config", "--modversion", "sqlite3"])
    for name, command in SERVERS.items():
        libraries[name] = (re.search(r"\d+(\.\d+)+", output(command)) or [""])[0]
    return {
        "processor": processor[1] if processor else os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": "%s %s" % (os.uname().sysname, os.uname().release),
        "compiler": (re.search(r"compiled with (.*)", version) or ["", "unknown"])[1],
        "weir": "%s, %s" % (version.splitlines()[0] if version else "weir", commit(root)),
        "libraries": {name: version for name, version in sorted(libraries.items()) if version},
    }
