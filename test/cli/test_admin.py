"""Faults that an administrator meets: contradicting files, permissions, listeners, readiness, firewalls, units."""

import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import ROOT, program, run, wait_for

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def nodes(place):
    place.edge = place.start("edge")
    place.core = place.start("core")
    place.wait_linked()
    return place


def get(port, path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


# --- check config

def test_listeners_that_overlap_are_refused_before_anything_starts(place):
    text = (place / "edge.toml").read_text()
    (place / "edge.toml").write_text(re.sub(r'metrics +=.*', f'metrics = "127.0.0.1:{place.ports["edge"]}"', text))
    for done in (run("check", "config", place / "edge.toml"), run("edge", "-c", place / "edge.toml")):
        assert done.exit == 3 and "config.conflict" in done.err, done.err
        assert "`metrics` in [edge]" in done.err and "`s2s` in [edge]" in done.err and "edge.toml:3:" in done.err


def test_keys_that_others_may_read_are_warned_of(place):
    assert "config.exposed" not in run("check", "config", place / "core.toml").err
    for name in ("core.key", "certs/example.com.key"):
        os.chmod(place / name, 0o644)
        done = run("check", "config", place / "core.toml")
        assert done.exit == 0 and f"{name}: holds a secret and has mode 0644" in done.err, done.err


def test_an_edge_that_pins_itself_is_warned_of(place):
    text = (place / "edge.toml").read_text()
    (place / "edge.toml").write_text(text.replace(place.core_pin, place.edge_pin))
    done = run("check", "config", place / "edge.toml")
    assert done.exit == 0 and "this node's own [identity]" in done.err, done.err


def test_a_file_of_the_other_role_is_named_as_that(place):
    for role, other in (("edge", "core"), ("core", "edge")):
        done = run(role, "-c", place / f"{other}.toml")
        assert done.exit == 3 and f"this looks like a{'n' if other == 'edge' else ''} {other}.toml" in done.err, done.err
        assert "did you mean" not in done.err and "row of a list" not in done.err, done.err
        assert run("check", "config", "--role", role, place / f"{other}.toml").exit == 3
    shutil.copy(place / "edge.toml", place / "core.toml")
    assert "has the tables of edge.toml" in run("check", "config", place / "core.toml").err


def test_a_policy_that_serves_nothing_is_warned_of_everywhere(nodes):
    port = nodes.ports["metrics"]
    wait_for("ready", lambda: get(port, "/readyz")[0] == 200)
    (nodes / "empty.toml").write_text("[federation]\n")
    applied = nodes.ask("core", "policy", "apply", nodes / "empty.toml")
    assert applied.exit == 0 and "config.serves-nothing" in applied.out, applied.out
    assert "config.serves-nothing" in nodes.log("core")
    (nodes / "policy.toml").write_text("# nothing\n")
    reloaded = nodes.ask("core", "reload")
    assert reloaded.exit == 0 and "config.serves-nothing" in reloaded.out, reloaded.out
    assert "config.serves-nothing" in run("check", "config", nodes / "core.toml").err
    wait_for("not ready", lambda: get(port, "/readyz")[2] == "the policy serves no domain\n")
    assert "serves no domain" in nodes.ask("edge", "status").out


# --- exit codes, permissions

def test_explain_fails_where_the_answer_is_no(nodes):
    assert nodes.ask("core", "explain", "example.com", "partner.example").exit == 0
    for words in ((), ("--json",)):
        done = nodes.ask("core", "explain", "example.com", "stranger.example", *words)
        assert done.exit == 1 and "refused" in done.out, done.out


def test_an_invalid_policy_has_one_exit_code(nodes):
    (nodes / "bad.toml").write_text('[[allow]]\ndmoain = "x.example"\n')
    assert nodes.ask("core", "policy", "diff", nodes / "bad.toml").exit == 3
    assert nodes.ask("core", "policy", "apply", nodes / "bad.toml").exit == 3
    shutil.copy(nodes / "bad.toml", nodes / "policy.toml")
    assert nodes.ask("core", "reload").exit == 3
    assert nodes.ask("core", "reload", "--json").exit == 3


@as_root
def test_a_socket_that_may_not_be_opened_is_not_an_absent_daemon(nodes):
    done = run("status", "--control", nodes / "run/edge.sock", user=NOBODY)
    assert done.exit == 1 and "control.denied" in done.err and "sudo" in done.err, done.err
    assert run("status", "--control", nodes / "run/none.sock").exit == 4


@as_root
def test_a_key_that_may_not_be_read_is_not_missing(place):
    os.chmod(place.folder, 0o755)
    done = run("check", "config", place / "edge.toml", user=NOBODY)
    assert done.exit == 3 and "edge.key: Permission denied [file.denied]" in done.err, done.err
    assert "config.missing" not in done.err


@as_root
def test_a_low_port_without_the_capability_names_it(place):
    (place / "core.toml").write_text((place / "core.toml").read_text() + """
[dns]
listen   = ["127.0.0.53:53"]
upstream = ["127.0.0.1:9"]
clients  = ["127.0.0.0/8"]
""")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not here")
    start = f"ip link set lo up; exec setpriv --bounding-set=-net_bind_service {program()} core -c {place / 'core.toml'}"
    done = subprocess.run(["unshare", "-n", "sh", "-c", start], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "code=net.permission" in done.stderr, done.stderr
    assert "CAP_NET_BIND_SERVICE" in done.stderr, done.stderr


# --- listeners, draining

def test_a_listener_that_could_not_be_opened_is_said_and_tried_again(place):
    place.start("edge")
    port = place.ports["metrics"]
    with socket.socket() as taken:
        # Bound beside the edge's own socket, which does not listen yet.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", place.ports["edge"]))
        taken.listen()
        place.start("core")
        place.wait_linked()
        status = wait_for("the error", lambda: "listen_error" in place.status("edge") and place.status("edge"))
        assert status["listening"] is False and status["listen_error"].startswith("net.address-in-use")
        code, _, why = get(port, "/readyz")
        assert code == 503 and why.startswith("not listening: net.address-in-use"), why
        log = place.log("edge")
        assert "s2s.not-open code=net.address-in-use" in log and "s2s.open" not in log, log
        assert f"s2s=127.0.0.1:{place.ports['edge']}" not in log
    wait_for("open", lambda: place.status("edge")["listening"], timeout_s=20)
    assert "s2s.open" in place.log("edge") and get(port, "/readyz")[0] == 200


def test_every_listener_has_a_line(place):
    dns = place.ports["dns"] = place.ports["metrics"] + 1 if place.ports["metrics"] < 65000 else 60999
    place.write_core(f'\n[dns]\nlisten = ["127.0.0.1:{dns}"]\nupstream = ["127.0.0.1:9"]\nclients = ["127.0.0.0/8"]\n')
    place.start("edge")
    place.start("core")
    place.wait_linked()
    wait_for("open", lambda: place.status("edge")["listening"])
    for role, parts in (("edge", (f"traversal=127.0.0.1:{place.ports['link']}", f"s2s=127.0.0.1:{place.ports['edge']}",
                                  f"metrics=127.0.0.1:{place.ports['metrics']}")),
                        ("core", (f"s2s=127.0.0.1:{place.ports['core']}", f"dns=127.0.0.1:{dns}"))):
        for part in parts:
            assert f"net.listen {part}" in place.log(role), place.log(role)


def test_a_drained_edge_says_so(nodes):
    port = nodes.ports["metrics"]
    wait_for("ready", lambda: get(port, "/readyz")[0] == 200)
    assert nodes.ask("edge", "drain").exit == 0
    status = wait_for("draining", lambda: nodes.status("edge")["state"] == "draining" and nodes.status("edge"))
    assert status["draining"] is True and status["links"][0]["state"] == "up", status
    assert get(port, "/readyz")[::2] == (503, "draining\n")
    assert re.search(rf'door.draining by="uid {os.geteuid()}, pid \d+"', nodes.log("edge")), nodes.log("edge")
    nodes.core.terminate()
    nodes.core.wait(timeout=10)
    assert 'door.draining by="signal TERM"' in nodes.log("core")


def test_orders_are_logged_with_who_gave_them(nodes):
    who = rf'by="uid {os.geteuid()}, pid \d+"'
    nodes.ask("edge", "log", "level", "error")
    assert re.search(rf"log.level level=error {who}", nodes.log("edge")), nodes.log("edge")
    nodes.ask("core", "reload")
    assert re.search(rf"control.order order=reload {who}", nodes.log("core")), nodes.log("core")
    new = nodes / "new.toml"
    new.write_text((nodes / "policy.toml").read_text() + '[[allow]]\ndomain = "new.example"\n')
    nodes.ask("core", "policy", "apply", new)
    assert re.search(rf'control.order order="policy apply" {who}', nodes.log("core")), nodes.log("core")


# --- metrics

def test_metrics_speak_the_format_that_is_asked_for(nodes):
    port = nodes.ports["metrics"]
    _, kind, text = get(port, "/metrics", Accept="text/plain;version=0.0.4")
    assert kind.startswith("text/plain; version=0.0.4") and "# EOF" not in text
    _, kind, text = get(port, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0") and text.endswith("# EOF\n")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not here")
def test_promtool_has_nothing_to_object(nodes):
    text = get(nodes.ports["metrics"], "/metrics")[2]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


# --- firewall rules

def write_wildcard_edge(place, edge="203.0.113.5"):
    text = (place / "edge.toml").read_text()
    text = re.sub(r's2s +=.*', 's2s = ["0.0.0.0:5269"]', text)
    text = re.sub(r'traversal +=.*', f'traversal = ["{edge}:7400"]', text)
    (place / "edge.toml").write_text(text.replace("127.0.0.1:9", "198.51.100.53:53"))


def test_rules_that_would_miss_a_row_are_not_printed(place):
    write_wildcard_edge(place)
    done = run("ports", "--nft", "-c", place / "edge.toml")
    assert done.exit == 1 and not done.out
    for part in ("federated server -> edge, TCP 5269", "core -> edge, TCP 7400", "--address edge=203.0.113.5"):
        assert part in done.err, done.err
    full = run("ports", "--nft", "-c", place / "edge.toml", "--address", "edge=203.0.113.5", "--address", "core=10.0.0.5")
    assert full.exit == 0 and full.out.count(" accept comment ") == 5, full.out + full.err
    assert run("ports", "-c", place / "edge.toml", "--address", "edge").exit == 2
    assert run("ports", "-c", place / "edge.toml", "--address", "egde=203.0.113.5").exit == 2
    assert run("ports", "-c", place / "edge.toml", "--address", "edge=0.0.0.0").exit == 2


def test_the_link_stands_once_and_apostrophes_are_plain(place):
    place.write_core('\n[dns]\nlisten = ["127.0.0.1:53"]\nupstream = ["127.0.0.1:9"]\nclients = ["127.0.0.0/8"]\n')
    done = run("ports", "-c", place / "edge.toml", "-c", place / "core.toml")
    assert done.exit == 0 and done.out.count("the link") == 1, done.out
    assert "resolver's upstream" in done.out and "\\" not in done.out, done.out


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


LISTEN = """
import socket, sys, threading
for port in map(int, sys.argv[1:]):
    s = socket.create_server(("0.0.0.0", port))
    threading.Thread(target=lambda s=s: [s.accept()[0].close() for _ in iter(int, 1)], daemon=False).start()
print("ready", flush=True)
"""
CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5).close()"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("ip"), reason="needs root, nft and ip")
def test_the_rules_let_through_what_the_table_names_and_nothing_else(place):
    write_wildcard_edge(place)
    rules = run("ports", "--nft", "-c", place / "edge.toml", "--address", "edge=203.0.113.5", "--address",
                "core=10.0.0.5").out
    spaces = {name: f"spcli{os.getpid()}{name}" for name in ("router", "world", "edge", "core")}
    nets = {"world": ("198.51.100.2", "198.51.100.1"), "edge": ("203.0.113.5", "203.0.113.1"), "core": ("10.0.0.5", "10.0.0.1")}
    listeners = []
    try:
        for space in spaces.values():
            if ip("netns", "add", space, check=False).returncode != 0:
                pytest.skip("no network namespaces here")
            ip("-n", space, "link", "set", "lo", "up")
        for name, (own, gateway) in nets.items():
            ip("-n", spaces["router"], "link", "add", name, "type", "veth", "peer", "name", "up0", "netns", spaces[name])
            for space, device, address in ((spaces["router"], name, gateway), (spaces[name], "up0", own)):
                ip("-n", space, "addr", "add", f"{address}/24", "dev", device)
                ip("-n", space, "link", "set", device, "up")
            ip("-n", spaces[name], "route", "add", "default", "via", gateway)
        inside = ["ip", "netns", "exec"]
        subprocess.run([*inside, spaces["router"], "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True)
        subprocess.run([*inside, spaces["router"], "nft", "-f", "-"], input=rules, text=True, check=True)
        for name, ports in (("edge", ("5269", "7400", "80")), ("core", ("5269",)), ("world", ("5269", "80"))):
            one = subprocess.Popen([*inside, spaces[name], "python3", "-c", LISTEN, *ports], stdout=subprocess.PIPE)
            listeners.append(one)
            assert one.stdout.readline() == b"ready\n"

        def passes(source, target, port):
            return subprocess.run([*inside, spaces[source], "python3", "-c", CONNECT, nets[target][0], str(port)],
                                  capture_output=True).returncode == 0

        assert passes("world", "edge", 5269) and passes("edge", "world", 5269) and passes("core", "edge", 7400)
        for source, target, port in (("world", "edge", 7400), ("world", "edge", 80), ("edge", "core", 5269),
                                     ("world", "core", 5269), ("edge", "world", 80), ("core", "edge", 80)):
            assert not passes(source, target, port), (source, target, port)
    finally:
        for one in listeners:
            one.kill()
            one.wait()
        for space in spaces.values():
            ip("netns", "del", space, check=False)


# --- units

@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
@pytest.mark.parametrize("role", ["edge", "core"])
def test_the_units_are_good_and_tight(tmp_path, role):
    name = f"sallyport-{role}.service"
    with open(f"{ROOT}/packaging/{name}", encoding="utf-8") as text:
        unit = text.read()
    assert "RestartPreventExitStatus=3\n" in unit and "RemoveIPC=yes\n" in unit
    assert "ReadWritePaths=-/etc/sallyport\n" not in unit
    # The program and its manual page are not installed where tests run.
    (tmp_path / name).write_text(re.sub(r"Documentation=.*\n", "", unit.replace("/usr/bin/sallyport", "/bin/true")))
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True)
    if "Failed to" in done.stderr and "bus" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0 and name not in done.stderr, done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", str(tmp_path / name)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr
