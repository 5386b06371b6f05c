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


def cpu_kind():
    """Vendor, family and model, as in "AuthenticAMD family 26 model 2": what a figure's explanation holds for."""
    fields = cpu_fields()
    numbers = f"family {fields.get('cpu family', 'unknown')} model {fields.get('model', 'unknown')}"
    return f"{fields.get('vendor_id', platform.machine())} {numbers}"


def settings():
    """Name and environment of each way to run a peer: one thread; two threads as the system places them; two, each on its CPU."""
    ways = {"1 thread": {"OMP_NUM_THREADS": "1"}}
    if (os.cpu_count() or 1) > 1:
        ways["2 threads"] = {"OMP_NUM_THREADS": "2"}
        ways["2 threads, bound"] = {"OMP_NUM_THREADS": "2", "OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
    return ways


def threads_of(way):
    return int(way.split()[0])
