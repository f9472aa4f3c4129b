"""The figures: the runs, their order, and the values that are kept."""

import os
import resource
import subprocess
import tempfile
import time

from lab.process import LabError

from .haproxy import HAProxy
from .peers import Ejabberd, Prosody, ProsodyStock
from .sallyport import CORE, EDGE, Sallyport
from .world import beside, finish_load, load_in_turn

SYSTEMS = {"sallyport": Sallyport, "haproxy": HAProxy, "ejabberd": Ejabberd, "prosody": Prosody,
           "prosody-stock": ProsodyStock}
# Close to each other, so they are measured together, in alternating half seconds.
CLOSE = ("sallyport", "haproxy")
# Half of the stanzas inward, half outward, comes first: the targets refer to it.
DIRECTIONS = ("both", "in", "out")
GROWTH_RATE = 1000  # stanzas a second
FILLED = 54  # stanzas of 290 bytes that fill a TLS record


class Samples:
    """All measured values, by (figure, system), in the order of the rounds."""

    def __init__(self, say):
        self.values, self.failures, self.say = {}, [], say

    def add(self, figure, system, value):
        self.values.setdefault((figure, system), []).append(value)
        self.say(f"  {system:14} {figure:44} {value:.4g}")

    def get(self, figure, system):
        return self.values.get((figure, system), [])

    def fail(self, what, error):
        self.failures.append(f"{what}: {error}")
        self.say(f"  FAILED {what}: {error}")


class Plan:
    """Durations and counts; `quick` is for a test that everything works."""

    def __init__(self, options):
        quick = options.quick
        self.folder = options.folder
        self.seconds = options.seconds or (2 if quick else 6)
        self.rate_seconds = 5 if quick else 15
        self.growth_seconds = 5 if quick else 10
        self.warm = 1 if quick else 2
        self.shard_rounds = 1 if quick else 3
        self.setup_rounds = 1 if quick else 3
        self.setup_count = 200 if quick else 1200
        self.idle_count = 1000 if quick else 10_000
        self.idle_count_peers = 200 if quick else 1000
        # The generator has both ends of every stream.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.growth_rounds = 1 if quick else min(options.rounds, 3)
        self.pairs_many = min(500 if quick else 10_000, (descriptors - 200) // 2)
        self.rows_many = 10_000 if quick else 100_000
        self.directions = DIRECTIONS[:1] if quick else DIRECTIONS


def _groups(names):
    """The groups that are measured together: the close ones. The others cost ten times as much, would disturb them,
    and are measured alone."""
    close = [name for name in names if name in CLOSE]
    return ([close] if close else []) + [[name] for name in names if name not in CLOSE]


def traffic(plan, samples, names):
    """One round of saturation and of the fixed rate."""
    for group in _groups(names):
        try:
            with beside(*(SYSTEMS[name] for name in group), folder=plan.folder) as systems:
                for per_record in (1, FILLED):
                    if per_record > 1 and systems[0].transport == "component":
                        continue  # there are no TLS records on the way in
                    for direction in plan.directions:
                        _saturation(plan, samples, group, systems, direction, per_record)
                for name, result in zip(group, load_in_turn(systems, "rate", lambda system: [
                        *system.words(), "--warm", plan.warm, "--measure", plan.rate_seconds])):
                    samples.add("1,000/s: CPU s per 100k", name, result["cpu_s_per_100k"])
                    samples.add("1,000/s: p50 ms", name, result["p50_ms"])
                    samples.add("1,000/s: p99 ms", name, result["p99_ms"])
        except LabError as error:
            samples.fail(f"traffic of {', '.join(group)}", error)


def _saturation(plan, samples, group, systems, direction, per_record):
    for name, result in zip(group, load_in_turn(systems, "saturate", lambda system: [
            *system.words(), "--direction", direction, "--per-record", per_record, "--warm", plan.warm,
            "--measure", plan.seconds])):
        figure = f"saturation, {per_record} per record, {direction}"
        samples.add(f"{figure}: CPU s per 100k", name, result["cpu_s_per_100k"])
        samples.add(f"{figure}: stanzas/s", name, result["stanzas_per_s"])


def streams(world, plan, samples, names):
    """Set-up and idle: real s2s, STARTTLS, EXTERNAL, from distinct domains. HAProxy: bare TLS handshakes."""
    for number in range(plan.setup_rounds):
        for group in _groups(names):
            if number == 0 or group[0] in CLOSE:
                _setup(plan, samples, group)
    for name in names:
        if name == "haproxy":
            continue
        try:
            with SYSTEMS[name](world) as system:  # a new process, with a fresh heap
                words = system.stream_words()
                count = plan.idle_count if name == "sallyport" else plan.idle_count_peers
                result = world.load("idle", *words, "--count", count, "--at-once", 32, "--setup", 300)
                samples.add("idle: RSS kB per stream", name, result["rss_kb_per_stream"])
        except LabError as error:
            samples.fail(f"{name}, idle", error)


def _setup(plan, samples, group):
    try:
        with beside(*(SYSTEMS[name] for name in group), folder=plan.folder) as systems:
            for system in systems:
                system.world.load("setup", *system.stream_words(), "--count", 50)  # one-time work of a process
            for at_once in (1, 500) if group[0] in CLOSE else (1,):
                for name, result in zip(group, load_in_turn(systems, "setup", lambda system: [
                        *system.stream_words(), "--count", plan.setup_count, "--at-once", at_once])):
                    samples.add(f"set-up, {at_once} at once: CPU ms per stream", name, result["cpu_ms_per_stream"])
                    if at_once > 1:
                        samples.add(f"set-up, {at_once} at once: accept-queue overflows", name,
                                    result["listen_overflows"])
    except LabError as error:
        samples.fail(f"set-up of {', '.join(group)}", error)


def growth(world, plan, samples, names):
    """From one pair to many, from no row of a list to many; a reload under way. HAProxy has no pairs but as many
    connections: its growth is the share of the machine, whose caches hold one but not ten thousand."""
    close = [name for name in names if name in CLOSE]
    for _ in range(plan.growth_rounds):
        for direction in ("in", "out"):
            _growth_of_pairs(plan, samples, close, direction)
    if "sallyport" not in names:
        return
    for _ in range(plan.growth_rounds):
        _growth_of_rows(plan, samples)
    _reload(world, plan, samples)


def _growth_of_pairs(plan, samples, names, direction):
    # Few remote domains with many local ones: the certificates that a core mints in a second are limited.
    remotes_many = 40
    grids = {"1 pair": (1, 1), "many pairs": (plan.pairs_many // remotes_many, remotes_many)}
    cases = [(name, what) for name in names for what in grids]

    def maker(name, what):
        return (lambda world: Sallyport(world, *grids[what])) if name == "sallyport" else SYSTEMS[name]

    try:
        with beside(*(maker(*case) for case in cases), folder=plan.folder) as systems:
            grid_of = {id(system): grids[what] for system, (_, what) in zip(systems, cases)}

            def words(system):
                # At a fixed rate each stanza is read and written alone, for any number of pairs.
                locals_count, remotes_count = grid_of[id(system)]
                return [*system.words(), "--rate", GROWTH_RATE, "--direction", direction,
                        "--pairs", locals_count * remotes_count, "--locals", locals_count, "--remotes", remotes_count,
                        "--setup", 600, "--warm", plan.warm, "--measure", plan.growth_seconds]

            for (name, what), result in zip(cases, load_in_turn(systems, "rate", words)):
                samples.add(f"growth, {what}, {direction}: CPU s per 100k", name, result["cpu_s_per_100k"])
                if what == "many pairs":
                    samples.add("growth: many pairs are", name, grids[what][0] * grids[what][1])
    except LabError as error:
        samples.fail(f"growth of pairs, {direction}", error)


def _growth_of_rows(plan, samples):
    counts = (0, plan.rows_many)
    try:
        results = _saturated(plan, [lambda world, rows=rows: Sallyport(world, rows=rows) for rows in counts],
                             "--warm", plan.warm)
        for rows, result in zip(counts, results):
            samples.add(f"growth, {rows} rows: CPU s per 100k", "sallyport", result["cpu_s_per_100k"])
    except LabError as error:
        samples.fail("growth of rows", error)


def _saturated(plan, makers, *words):
    """The results of one saturation of these systems, which run beside each other, in their order."""
    with beside(*makers, folder=plan.folder) as systems:
        return load_in_turn(systems, "saturate", lambda system: [*system.words(), *words, "--measure", plan.seconds])


def _reload(world, plan, samples):
    """1,000/s throughout; a run without a reload shows the share of the machine."""
    try:
        with Sallyport(world) as system:
            for rows in (None, plan.rows_many):
                words = ["rate", *system.words(), "--warm", 1, "--measure", 8]
                load = world.begin_load(*words)
                for line in load.stderr:
                    if line.strip() == "measuring":
                        break
                if rows:
                    system.write_policy(rows)
                    time.sleep(1)
                    begin = time.monotonic()
                    said = system.ask("core", "reload")
                    samples.add("reload of many rows: s", "sallyport", time.monotonic() - begin)
                    samples.say("    " + said.strip().replace("\n", " | ")[:200])
                result = finish_load(load, words)
                what = "reload of many rows" if rows else "no reload"
                samples.add(f"{what}: longest latency ms", "sallyport", result["max_ms"])
                samples.add(f"{what}: p99 ms", "sallyport", result["p99_ms"])
    except LabError as error:
        samples.fail("reload", error)


def shards(world, plan, samples):
    """Two shards against one: stanzas for each CPU second of the busiest thread, which is the one that is full
    first where there are processors for all. Many remote domains, since a shard has whole ones; no more than a
    core mints certificates for in a second."""
    locals_count, remotes_count = 2, 32
    domains = ("--pairs", locals_count * remotes_count, "--locals", locals_count, "--remotes", remotes_count)
    for number in range(plan.shard_rounds):
        for count in (1, 2):
            try:
                with Sallyport(world, locals_count, remotes_count, shards=count) as system:
                    result = world.load("saturate", *system.words(), *domains, "--warm", plan.warm,
                                        "--measure", plan.seconds)
                    samples.add(f"shards, {count}: stanzas per CPU s of the busiest thread", "sallyport",
                                1e5 / result["busiest_thread_cpu_s_per_100k"])
                    samples.add(f"shards, {count}: CPU s per 100k", "sallyport", result["cpu_s_per_100k"])
            except LabError as error:
                samples.fail(f"{count} shard(s)", error)


def durable(plan, samples):
    """Messages that a core keeps on disk until they are delivered, beside the same in memory. What is delivered before
    its turn to be written comes is never written; where servers do not acknowledge, more waits for the disk. Nodes find
    that out with pings, in ten seconds, and let few messages pass until then. bench/spool measures the disk alone."""
    for direction in plan.directions:
        _durable(plan, samples, direction, direction, "--warm", plan.warm)
    _durable(plan, samples, "both", "without acknowledgements", "--warm", 25, "--acks", "no")


def _durable(plan, samples, direction, what, *words):
    """In flight are fewer than the window of a flow: presence overtakes messages that wait behind it, and the generator
    demands the order."""
    kinds = ("memory", "durable")
    try:
        results = _saturated(plan, [lambda world, kind=kind: Sallyport(world, delivery=kind) for kind in kinds],
                             "--window", 180, "--direction", direction, *words)
        for kind, result in zip(kinds, results):
            samples.add(f"{kind}, {what}: CPU s per 100k", "sallyport", result["cpu_s_per_100k"])
            samples.add(f"{kind}, {what}: stanzas/s", "sallyport", result["stanzas_per_s"])
    except LabError as error:
        samples.fail(f"durable, {what}", error)


def start(world, samples):
    """From exec to the listening socket, polled every millisecond; and the program's size on disk."""
    try:
        system = Sallyport(world)
        try:
            for role, process, address in (("edge, for cores", system.edge, f"{EDGE}:7400"),
                                           ("core, for servers", system.core, f"{CORE}:5269"),
                                           ("edge, for servers, after the core's", None, f"{EDGE}:5269")):
                if process:
                    begin = time.monotonic()
                    process.start()
                while not _listens(system.processes, address):
                    if time.monotonic() > begin + 10:
                        raise LabError(f"no process listens on {address}")
                    time.sleep(0.001)
                samples.add(f"start: {role}: ms", "sallyport", 1e3 * (time.monotonic() - begin))
        finally:
            system.stop()
    except LabError as error:
        samples.fail("start", error)
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, system.binary], check=True)
        samples.add("stripped binary: MB", "sallyport", os.path.getsize(stripped.name) / 1e6)


def _listens(processes, address):
    """As the kernel reports to a process of that namespace, without starting another."""
    ip, port = address.split(":")
    packed = "".join(f"{int(octet):02X}" for octet in reversed(ip.split("."))) + f":{int(port):04X}"
    for process in processes:
        try:
            with open(f"/proc/{process.pid}/net/tcp") as table:
                if any(packed == line.split()[1] and line.split()[3] == "0A" for line in table):
                    return True
        except (OSError, IndexError):
            pass
    return False
