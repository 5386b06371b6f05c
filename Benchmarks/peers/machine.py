"""What the reports say of the machine and of the settings that every peer is tried with."""

import os
import platform


def cpu_fields():
    """The first CPU's fields of /proc/cpuinfo."""
    fields = {}
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if not line.strip():
                    break
                name, _, value = line.partition(":")
                fields[name.strip()] = value.strip()
    except OSError:
        pass
    return fields


def cpu_name():
    return cpu_fields().get("model name", platform.machine())


def settings():
    """Name and environment of each way to run a peer: one thread; two threads as the system places them; two, each on its CPU."""
    ways = {"1 thread": {"OMP_NUM_THREADS": "1"}}
    if (os.cpu_count() or 1) > 1:
        ways["2 threads"] = {"OMP_NUM_THREADS": "2"}
        ways["2 threads, bound"] = {"OMP_NUM_THREADS": "2", "OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
    return ways


def threads_of(way):
    return int(way.split()[0])
