"""Processes of a world: started in a namespace, logged to files, ended by id."""

import json
import os
import signal
import socket
import subprocess
import threading
import time


class LabError(Exception):
    """The lab itself failed, not the program under test; the text says where to look."""


def run(*command, stdin=None, check=True, timeout_s=30):
    """Run a command; returns its output as text. LabError if it fails."""
    done = subprocess.run(command, input=stdin, text=True, timeout=timeout_s,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


class Script:
    """A script of this folder in a namespace. It takes orders and tells events, each a line of JSON."""

    def __init__(self, namespace, name, log, heard):
        self._heard = heard
        with open(log, "ab") as errors:
            self._popen = subprocess.Popen(
                ["ip", "netns", "exec", namespace, "/usr/bin/python3",  # Debian's, which has slixmpp
                 os.path.join(os.path.dirname(__file__), name)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def order(self, **words):
        self._popen.stdin.write(json.dumps(words) + "\n")
        self._popen.stdin.flush()

    def stop(self):
        self._popen.kill()
        self._popen.wait()

    def _read(self):
        for line in self._popen.stdout:
            self._heard(json.loads(line))


class Process:
    """One long-lived program in one namespace. Restartable with the same arguments."""

    def __init__(self, name, namespace, command, log, env=None, cwd=None):
        self.name, self.namespace, self.command = name, namespace, command
        self.log, self.env, self.cwd = log, env, cwd
        self._popen = None

    def start(self):
        with open(self.log, "ab") as log:
            # `ip netns exec` becomes the program itself, so the pid is the program's.
            self._popen = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *self.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd,
                env={**os.environ, **(self.env or {})}, start_new_session=True)

    @property
    def pid(self):
        return self._popen.pid if self._popen else None

    def alive(self):
        return self._popen is not None and self._popen.poll() is None

    def kill(self, with_signal=signal.SIGKILL, timeout_s=10):
        """End the program and wait for its end; SIGKILL if it outlives the time."""
        if not self.alive():
            return
        self._popen.send_signal(with_signal)
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(5)

    def exit_code(self):
        return self._popen.poll() if self._popen else None


def wait_until(what, predicate, timeout_s, interval_s=0.1):
    """Poll until predicate() is true; LabError naming `what` when time is up."""
    end = time.monotonic() + timeout_s
    while True:
        if predicate():
            return
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout_s} s")
        time.sleep(interval_s)


def listens(namespace, address, port):
    """Whether a TCP socket listens there, as the kernel reports, without connecting."""
    table = run("ip", "netns", "exec", namespace, "cat", "/proc/net/tcp", "/proc/net/tcp6")
    packed = int.from_bytes(socket.inet_aton(address), "little")
    wanted = {f"{packed:08X}:{port:04X}", f"00000000:{port:04X}",
              f"{'0' * 32}:{port:04X}"}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == "0A" and fields[1] in wanted:
            return True
    return False


def tail(path, lines=25):
    """The last lines of a file, or the reason why there are none."""
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except OSError as error:
        return f"({error.strerror})\n"
