"""The environment of a measured system: a network namespace, a folder and a generator of its own."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile

from lab.process import LabError, Process, run, tail, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOCAL, REMOTE = "inside.example", "outside.example"
NAME_SERVER = "127.0.0.53"
# The servers that the generator plays.
INSIDE, WORLD = "127.0.0.20:5269", "127.0.0.30:5269"


class World:
    """Made and ended by `with`, which ends all processes left in the namespace by their ids."""

    _numbers = itertools.count(1)

    def __init__(self, folder=None):
        self.namespace = f"sallyport-bench-{os.getpid()}-{next(World._numbers)}"
        self.generator = f"{ROOT}/build/release/bench/sallyport-load"
        if not os.access(self.generator, os.X_OK):
            raise LabError("there is no generator; build it: cmake --preset release && cmake --build --preset release --target bench")
        self._own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="sallyport-bench-")
        if self._own:
            os.chmod(self.folder, 0o755)  # peers run as other users
        self.pki = f"{self.folder}/pki"

    def __enter__(self):
        try:
            return self._make()
        except BaseException:  # also for Ctrl-C
            self.__exit__()
            raise

    def _make(self):
        run("ip", "netns", "add", self.namespace)
        self.run("ip", "link", "set", "lo", "up")
        # A generator at one address opens tens of thousands of connections.
        self.run("sh", "-c", "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range;"
                             "echo 65535 > /proc/sys/net/core/somaxconn;"
                             "echo 65535 > /proc/sys/net/ipv4/tcp_max_syn_backlog")
        etc = f"/etc/netns/{self.namespace}"
        os.makedirs(etc, exist_ok=True)
        with open(f"{etc}/resolv.conf", "w") as file:
            file.write(f"nameserver {NAME_SERVER}\noptions timeout:2 attempts:2\n")
        self.load("pki", "--folder", self.pki)
        return self

    def __exit__(self, *_):
        for pid in run("ip", "netns", "pids", self.namespace, check=False).split():
            try:
                os.kill(int(pid), 9)
            except (ProcessLookupError, ValueError):
                pass
        run("ip", "netns", "del", self.namespace, check=False)
        shutil.rmtree(f"/etc/netns/{self.namespace}", ignore_errors=True)
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command, **options):
        """Run a command in the namespace; returns its output."""
        return run("ip", "netns", "exec", self.namespace, *command, **options)

    def process(self, name, command, env=None, cwd=None):
        """A program for the namespace, not started; its log is in the folder."""
        os.makedirs(f"{self.folder}/log", exist_ok=True)
        return Process(name, self.namespace, command, f"{self.folder}/log/{name}.log", env=env, cwd=cwd)

    def certificates(self, **names_of):
        """Write STEM.crt and STEM.key into the folder of the CA, for these names."""
        words = [word for stem, names in names_of.items() for word in ("--certificate", f"{stem}={','.join(names)}")]
        self.load("pki", "--folder", self.pki, *words)

    def begin_load(self, *words):
        """Start the generator; `finish_load` waits for it."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, self.generator, *map(str, words)],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def load(self, *words, timeout_s=600):
        """Run the generator to its end; returns its measurements. LabError for an invalid run."""
        return finish_load(self.begin_load(*words), words, timeout_s)


def finish_load(generator, words, timeout_s=600):
    try:
        out, err = generator.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        generator.kill()
        generator.wait()
        raise LabError(f"the generator did not end: {' '.join(map(str, words))}") from None
    result = json.loads(out) if out.strip() else {}
    if generator.returncode != 0:
        raise LabError(f"{' '.join(map(str, words))}\n  {result.get('failure') or err}")
    return result


@contextlib.contextmanager
def beside(*makers, folder=None):
    """Systems that run at the same time, each in a world of its own, made by `makers`."""
    with contextlib.ExitStack() as stack:
        systems = []
        for number, make in enumerate(makers):
            place = folder and tempfile.mkdtemp(prefix=f"{number}-", dir=folder)
            if place:
                os.chmod(place, 0o755)
            systems.append(stack.enter_context(make(stack.enter_context(World(place)))))
        yield systems


def load_in_turn(systems, mode, words_of, timeout_s=900):
    """Run the generator on each of them, half a second each, A B C A B C ...; returns the measurements by system, in
    that order. `words_of` gives the further arguments of a system. All are ready before the first begins."""
    loads = []
    try:
        for number, system in enumerate(systems):
            own = [mode, *words_of(system), "--begin", "told", "--turn", f"{number}/{len(systems)}"]
            loads.append((system.world.begin_load(*own), own))
        for load, own in loads:
            if not any(line.strip() == "ready" for line in iter(load.stderr.readline, "")):
                finish_load(load, own)
                raise LabError(f"the generator ended before it was ready: {' '.join(map(str, own))}")
        for load, _ in loads:
            load.stdin.close()
            load.stdin = None
        return [finish_load(load, own, timeout_s) for load, own in loads]
    finally:
        for load, _ in loads:
            if load.poll() is None:
                load.kill()
                load.wait()


def tree_of(pid):
    """A process and all its descendants."""
    found = [pid]
    for each in found:
        try:
            for thread in os.listdir(f"/proc/{each}/task"):
                with open(f"/proc/{each}/task/{thread}/children") as file:
                    found += [int(word) for word in file.read().split()]
        except OSError:
            pass
    return found


class System:
    """A measured system. Subclasses make self.processes and define how stanzas enter."""

    title = ""
    transport = "starttls"
    window = 540  # stanzas in flight for each pair and direction

    def __init__(self, world):
        self.world, self.processes = world, []

    def start(self):
        for process in self.processes:
            process.start()
        wait_until(f"{self.title}: ready", self._ready, 60)

    def _ready(self):
        for process in self.processes:
            if not process.alive():
                raise LabError(f"{process.name} ended with {process.exit_code()}:\n{tail(process.log)}")
        return self.ready()

    def ready(self):
        raise NotImplementedError

    def stop(self):
        for process in self.processes:
            process.kill()

    def pids(self):
        return [pid for process in self.processes for pid in tree_of(process.pid)]

    def words(self):
        """The arguments by which the generator reaches it, and the processes whose CPU time is counted."""
        return ["--folder", self.world.pki, "--transport", self.transport, "--window", self.window,
                "--listen-inside", INSIDE, "--listen-world", WORLD,
                "--watch", ",".join(map(str, self.pids()))]

    def stream_words(self):
        """The same for streams without stanzas: set-up and idle."""
        return self.words()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
