"""The durable queue of a core: messages that an earlier process left in its spool are listed, shown, tried again and
purged. No edge is linked, so that those to remote domains stay."""

import contextlib
import re
import signal
import sqlite3
import time
import urllib.request

import pytest

from conftest import run, wait_for

# Flows by number: direction, local, remote.
FLOWS = [("out", "example.com", "partner.example"), ("out", "example.com", "other.example"),
         ("in", "example.com", "partner.example")]
# Flow, minutes since it was accepted, id.
MESSAGES = [(1, 200, "oldest"), (1, 3, "second"), (2, 15, "third"), (3, 0, "fourth"), (1, 0, "fifth")]


def stop(node):
    node.send_signal(signal.SIGTERM)
    node.wait(timeout=10)


def spool(place):
    return contextlib.closing(sqlite3.connect(place / "state/spool.db"))


def fill(place):
    """Store the messages, in a spool that a core has made. Answers to remote senders have no way, and are given up after
    10 s."""
    with open(place / "core.toml", "a") as file:
        file.write('\n[delivery]\nlifetime_memory = "10s"\n')
    stop(place.start("core"))
    now = int(time.time())
    with spool(place) as base, base:
        base.executemany("INSERT INTO flow VALUES (?, ?, ?, ?)", [(i + 1, *flow) for i, flow in enumerate(FLOWS)])
        for number, (flow, minutes, name) in enumerate(MESSAGES, 1):
            direction, local, remote = FLOWS[flow - 1]
            ends = (f"a@{local}/desk", f"b@{remote}") if direction == "out" else (f"b@{remote}/phone", f"a@{local}")
            xml = (f"<message from='{ends[0]}' to='{ends[1]}' type='chat' id='{name}'><body>secret {name}</body>"
                   "</message>")
            base.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (number, flow, now - 60 * minutes, xml.encode()))


@pytest.fixture(params=[1, 2], ids=["one shard", "two shards"])
def core(request, place):
    place.insert("core", "[core]", f'metrics = "{place.address("metrics")}"\nshards = {request.param}')
    place.write_policy('[[allow]]\ndomain = "other.example"\n\n[federation]\ndelivery = "durable"\n')
    fill(place)
    place.core = place.start("core")
    return place


def listed(place, *words):
    return place.ask("core", "queue", "list", *words, "--json").json


def numbers(place):
    return {(flow["direction"], flow["remote"]): flow["messages"] for flow in listed(place)["flows"]}


def test_the_queue_is_listed(core):
    flows = wait_for("the attempts fail", lambda: (all(flow.get("code") for flow in listed(core)["flows"])
                                                   and listed(core)["flows"]), timeout_s=30)
    assert {flow["code"] for flow in flows if flow["direction"] == "out"} == {"link.down"}, flows
    assert numbers(core) == {("out", "partner.example"): 3, ("out", "other.example"): 1, ("in", "partner.example"): 1}
    done = core.ask("core", "queue", "list")
    # The attempts above take some seconds, and the minute may end meanwhile.
    assert done.exit == 0 and "link.down" in done.out and re.search("3h 2[01]m", done.out), done.out
    assert done.out.splitlines()[1].split()[:4] == ["out", "example.com", "partner.example", "3"], done.out
    assert done.out.splitlines()[-1].startswith("Total: 5 messages, "), done.out
    assert [flow["remote"] for flow in listed(core, "other.example")["flows"]] == ["other.example"]
    assert len(listed(core, "EXAMPLE.com")["flows"]) == 3
    assert "No message waits for stranger.example." in core.ask("core", "queue", "list", "stranger.example").out
    assert [flow["remote"] for flow in listed(core, "--older-than", "1h")["flows"]] == ["partner.example"]
    assert core.ask("core", "queue", "list", "--older-than", "1d").out == "No message waits that is older than 1d.\n"


def test_the_queue_has_a_shape(core):
    done = core.ask("core", "queue", "shape")
    rows = [line.split() for line in done.out.splitlines()]
    assert rows == [["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"],
                    ["TOTAL", "5", "3", "0", "1", "0", "0", "0", "1", "0", "0", "0"],
                    ["partner.example", "4", "3", "0", "0", "0", "0", "0", "1", "0", "0", "0"],
                    ["other.example", "1", "0", "0", "1", "0", "0", "0", "0", "0", "0", "0"]], done.out
    one = core.ask("core", "queue", "shape", "other.example", "--json").json
    assert one["total"]["messages"] == 1 and [row["remote"] for row in one["domains"]] == ["other.example"]
    shape = core.ask("core", "queue", "shape", "--direction", "in", "--json").json
    assert shape["total"]["messages"] == 1 and [row["remote"] for row in shape["domains"]] == ["partner.example"]


def test_messages_are_shown_without_their_content(core):
    shown = core.ask("core", "queue", "show", "partner.example", "--json")
    assert "secret" not in shown.out
    rows = shown.json["messages"]
    assert [row["number"] for row in rows] == [1, 2, 4, 5] and shown.json["more"] is False
    assert (rows[2]["direction"], rows[2]["from"], rows[2]["to"], rows[2]["type"], rows[2]["id"]) == (
        "in", "b@partner.example/phone", "a@example.com", "chat", "fourth")
    assert 200 * 60 <= rows[0]["waited"] < 202 * 60
    first = core.ask("core", "queue", "show", "partner.example", "--count", "1")
    assert first.exit == 0 and "a@example.com/desk" in first.out and "There are more" in first.out, first.out
    assert "second" not in first.out and "secret" not in first.out
    old = core.ask("core", "queue", "show", "partner.example", "--older-than", "1h", "--json").json
    assert [row["number"] for row in old["messages"]] == [1]
    assert core.ask("core", "queue", "show", "other.example", "--older-than", "1h").out == (
        "The queue has no message for other.example that is older than 1h.\n")
    one = core.ask("core", "queue", "show", "3")
    assert one.exit == 0 and "b@other.example" in one.out and "third" in one.out, one.out
    gone = core.ask("core", "queue", "show", "99")
    assert gone.exit == 1 and gone.out == "The queue has no message 99.\n"
    with core.question("core", {"ask": "queue show"}) as question:
        assert question.answer()["error"]["code"] == "control.refused"


def test_status_and_metrics_have_the_queue(core):
    queue = core.status("core")["queue"]
    assert queue["messages"] == 5 and queue["bytes"] > 5 * 256 and "failing" not in queue
    assert "queue       5 messages, " in core.ask("core", "status").out
    with urllib.request.urlopen(f"http://{core.address('metrics')}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for line in ("sallyport_queue_messages 5", f"sallyport_queue_bytes {queue['bytes']}", "sallyport_spool_failing 0"):
        assert f"{line}\n" in text, text


def test_a_retry_is_an_order(core):
    none = core.ask("core", "queue", "retry", "--older-than", "1d", "--json")
    assert none.json == {"flows": 0}, none.out
    one = core.ask("core", "queue", "retry", "other.example", "--json")
    assert one.json == {"flows": 1}, one.out
    assert core.ask("core", "queue", "retry", "stranger.example").out == "No message waits for its next attempt.\n"
    assert core.ask("core", "queue", "retry").out == "The messages of 3 pairs of domains are tried again now.\n"
    assert sum(numbers(core).values()) == 5
    assert core.log("core").count('control.order order="queue retry" by=') == 4, core.log("core")


def test_a_purge_removes_messages_for_good(core):
    old = core.ask("core", "queue", "purge", "partner.example", "--older-than", "1h")
    assert old.exit == 0 and old.out.startswith("1 message "), old.out + old.err
    wait_for("the oldest is gone", lambda: numbers(core).get(("out", "partner.example")) == 2)
    assert core.ask("core", "queue", "purge", "partner.example", "--json").json == {"messages": 3}
    wait_for("those of one domain are gone", lambda: numbers(core) == {("out", "other.example"): 1},
             timeout_s=30)
    assert core.ask("core", "queue", "purge", "--all").out.startswith("1 message ")
    wait_for("it is empty", lambda: core.ask("core", "queue", "list").out == "The queue is empty.\n")
    log = core.log("core")
    assert log.count('control.order order="queue purge" by=') == 3 and "queue.purged" in log, log
    stop(core.core)
    with spool(core) as base:
        assert base.execute("SELECT count(*) FROM message").fetchall() == [(0,)]
    core.start("core")
    assert core.ask("core", "queue", "shape").out.split()[-11:] == ["0"] * 11


def test_a_core_with_a_damaged_spool_does_not_start_and_is_not_to_be_started_again(place):
    fill(place)
    with open(place / "state/spool.db", "r+b") as file:
        file.write(b"no longer a database")
    done = run("core", "-c", place / "core.toml")
    assert done.exit == 3 and "code=spool.corrupt" in done.out + done.err, done.out + done.err


def test_a_message_that_cannot_be_read_any_more_is_named_in_the_log(place):
    fill(place)
    with spool(place) as base, base:
        base.execute("UPDATE message SET xml = ? WHERE number = 1", (b"<message",))
    place.start("core")
    assert place.ask("core", "queue", "purge", "partner.example").exit == 0
    wait_for("it is empty", lambda: numbers(place) == {("out", "other.example"): 1}, timeout_s=30)
    line = next(line for line in place.log("core").splitlines() if "spool.unreadable" in line)
    assert "remote=partner.example message=1" in line and "secret" not in line, line


def test_an_edge_has_no_queue(place):
    place.start("edge")
    for words in (("list",), ("shape",), ("show", "1"), ("retry",), ("purge", "--all")):
        done = place.ask("edge", "queue", *words)
        assert done.exit == 1 and "only a core answers" in done.err and "on the core" in done.err, done.err
        assert place.ask("edge", "queue", *words, "--json").json["error"]["code"] == "control.refused"


@pytest.mark.parametrize("words", [
    ("purge",), ("purge", "a.example", "--all"), ("purge", "--all", "--older-than", "1w"), ("purge", "not a domain"),
    ("show", "not a domain"), ("show", "1", "--count", "0"), ("show", "1", "--count", "1001"), ("show", ""),
    ("show", "99999999999999999999"), ("list", "not a domain"), ("retry", "not a domain"), ("shape", "not a domain"),
    ("list", "--older-than", "1w"), ("show", "1", "--older-than", "1w"), ("retry", "--older-than", "1w")])
def test_usage_errors_ask_no_node(words):
    done = run("queue", *words, "--control", "/nowhere/x.sock")
    assert done.exit == 2 and done.err, done.out
