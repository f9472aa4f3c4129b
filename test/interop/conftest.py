"""Fixtures: one world per cell of the matrix, its clients, and the table at the end."""

import contextlib
import io
import os
import re
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cells  # noqa: E402
from lab import address as at  # noqa: E402
from lab import net  # noqa: E402
from lab.world import ALICE, BOB, CAROL, World  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="kill and restart processes in every world")
    parser.addoption("--direct", action="store_true",
                     help="no gateway: the same tests on servers that federate directly")


def pytest_generate_tests(metafunc):
    """Every test that asks for `world` runs once in each cell, grouped by cell."""
    if "world" not in metafunc.fixturenames:
        return
    direct = metafunc.config.getoption("--direct")
    kills = metafunc.definition.get_closest_marker("kills")
    everywhere = metafunc.config.getoption("--all")
    rows = []
    for cell in cells.ALL:
        marks = [pytest.mark.xdist_group(cells.name(*cell))]
        reason = cells.IMPOSSIBLE.get(cell[1:])
        if reason and metafunc.function.__name__ != "test_messages_both_ways":
            continue  # one skip with the reason is enough
        if reason:
            marks.append(pytest.mark.skip(reason=reason))
        elif direct and metafunc.definition.get_closest_marker("gateway"):
            continue
        elif kills and cell not in cells.KILLS and not everywhere:
            continue
        rows.append(pytest.param(cell, id=cells.name(*cell), marks=marks))
    metafunc.parametrize("world", rows, indirect=True, scope="session")


def pytest_configure(config):
    config.addinivalue_line("markers", "kills: kills processes of the world with SIGKILL")
    config.addinivalue_line("markers", "gateway: needs the gateway")
    if not hasattr(config, "workerinput"):
        net.sweep()


@pytest.fixture(scope="session")
def world(request):
    cell = request.param
    options = cells.options(*cell, direct=request.config.getoption("--direct"))
    with World(net.fresh_name(), options) as made:
        yield made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed and "world" in item.funcargs:
        logs = io.StringIO()
        with contextlib.redirect_stdout(logs):
            item.funcargs["world"].report(40)
        report.sections.append(("logs of the world", logs.getvalue()))  # a worker's own output is not shown


@pytest.fixture
def alice(world):
    return fresh(world, ALICE)


@pytest.fixture
def bob(world):
    return fresh(world, BOB)


@pytest.fixture
def carol(world):
    return fresh(world, CAROL)


def fresh(world, jid):
    client = world.client(jid)
    client.mark()
    return client


@pytest.fixture
def inside_rooms(world):
    """The name of the group chat service for its own users."""
    return at.NODE if world.options.mapped else at.ALIAS


def pytest_terminal_summary(terminalreporter):
    """The matrix as a table: tests passed of tests run in each cell."""
    passed, failed, skipped = {}, {}, {}
    for outcome, counts in (("passed", passed), ("failed", failed), ("error", failed), ("skipped", skipped)):
        for report in terminalreporter.stats.get(outcome, []):
            if outcome == "passed" and report.when != "call":
                continue
            for cell in cells.ALL:
                if re.search(rf"(\[|[^t]-){cells.name(*cell)}[\]-]", report.nodeid):  # not direct-...
                    counts[cell] = counts.get(cell, 0) + 1
    if not passed and not failed:
        return
    write = terminalreporter.write_line
    terminalreporter.section("interop matrix (passed/run)")
    widths = [10, 10] + [max(len(proof), 9) for proof in cells.PROOFS]
    row = lambda words: write("| " + " | ".join(w.ljust(n) for w, n in zip(words, widths)) + " |")  # noqa: E731
    row(["inside", "outside", *cells.PROOFS])
    write("|" + "|".join("-" * (n + 2) for n in widths) + "|")
    for inside in cells.INSIDE:
        for outside in cells.OUTSIDE:
            marks = []
            for proof in cells.PROOFS:
                cell = (inside, outside, proof)
                good, bad = passed.get(cell, 0), failed.get(cell, 0)
                mark = f"{good}/{good + bad}" + (" FAIL" if bad else "")
                if (outside, proof) in cells.IMPOSSIBLE:
                    mark = "n/a"
                marks.append(mark if good + bad or mark == "n/a" else "-")
            row([inside, outside, *marks])
    for (outside, proof), reason in cells.IMPOSSIBLE.items():
        write(f"{outside}, {proof}: {reason}")
