"""The process between a command and its tritonserver: when either ends, however it ends, nothing is left.

Run as `python -m retouch.guard <shm prefix> <server> <arguments…>`. The command holds our standard input's other end
and never writes; its end, even by SIGKILL, closes it. Then the server is stopped in order, its stubs with it, and
its shared memory is removed.
"""

import glob
import os
import select
import signal
import subprocess
import sys

STOP_SECONDS = 20.0


def main(prefix: str, command: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: os.close(0))  # the same as the command's end
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while server.poll() is None and not _closed():
        pass
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(server.pid, signal.SIGKILL)  # stubs of a server that ended too early to stop them
    except ProcessLookupError:
        pass
    for region in glob.glob(f"/dev/shm/{glob.escape(prefix)}*"):
        os.unlink(region)
    return server.wait()


def _closed() -> bool:
    try:
        return bool(select.select([0], [], [], 0.1)[0])
    except (OSError, ValueError):
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
