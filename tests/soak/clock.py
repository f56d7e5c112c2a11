"""A clock that can be set, for all processes of a site and for nobody else on the machine.

The commands run in a mount namespace of their own, where /etc/ld.so.preload names a small library that adds an offset
to the system's time. Whatever they start inherits that, also Python in isolated mode and C libraries (SQLite, OpenSSL).
The offset lies in a mapped file, so that it changes for all at the same moment. The monotonic clock is never changed,
and neither are the times of files.

Not libfaketime: with an unchanged monotonic clock, its 0.9.10 lets Python's time.sleep fail with EINVAL.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from tests import system

LIBRARY = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset;

__attribute__((constructor)) static void map(void) {
    int file = open(OFFSET, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) offset = page;
}

int clock_gettime(clockid_t which, struct timespec *result) {
    int code = syscall(SYS_clock_gettime, which, result);
    if (!code && offset && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) result->tv_sec += *offset;
    return code;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
"""
INSIDE = 'mount -t overlay overlay -o "lowerdir=$0:/etc" /etc && exec "$@"'


class Clock:
    """Makes the library in *folder*.

    Raises:
        PermissionError: a mount namespace needs root.
    """

    def __init__(self, folder: Path) -> None:
        compiler = system.find_or_install(
            "a C compiler", lambda: shutil.which("cc"), ["gcc", "libc6-dev"], elsewhere="its developer tools"
        )
        self._etc = folder / "etc"
        self._etc.mkdir(parents=True)
        self._offset = folder / "offset"
        self._offset.write_bytes(struct.pack("q", 0))
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(LIBRARY)
        command = [compiler, "-shared", "-fPIC", "-O2", f'-DOFFSET="{self._offset}"', "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        (self._etc / "ld.so.preload").write_text(f"{library}\n")
        if self.run("true").returncode != 0:
            raise PermissionError("a mount namespace with a clock of its own needs root")

    def put(self, seconds: float) -> None:
        """Have the clock go *seconds* before (negative: behind) the real one, for all at once."""
        with self._offset.open("r+b", buffering=0) as file:
            file.write(struct.pack("q", int(seconds)))

    def run(self, *command: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a command, and all that it starts, by this clock."""
        words = ["unshare", "--mount", "sh", "-c", INSIDE, str(self._etc), *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
