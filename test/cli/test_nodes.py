"""Two nodes on loopback: link, control questions, live changes, shutdown."""

import grp
import json
import os
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import program, run, wait_for


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    except OSError:
        return False


def test_both_nodes_show_the_link_and_the_same_policy(nodes):
    core, edge = nodes.status("core"), nodes.status("edge")
    assert core["role"] == "core" and edge["role"] == "edge"
    wait_for("the push", lambda: nodes.status("edge")["policy"].get("generation") == 1)
    edge = nodes.status("edge")
    assert core["policy"]["sha256"] == edge["policy"]["sha256"] and len(core["policy"]["sha256"]) == 64
    for role in ("core", "edge"):
        shown = nodes.ask(role, "status")
        assert shown.exit == 0 and "up" in shown.out, shown.out


def test_the_world_is_let_in_only_while_a_core_is_linked(place):
    place.start("edge")
    assert not connects(place.ports["edge"])
    core = place.start("core")
    place.wait_linked()
    wait_for("the s2s port opens", lambda: connects(place.ports["edge"]))
    core.kill()
    core.wait()
    wait_for("the s2s port closes", lambda: not connects(place.ports["edge"]), timeout_s=15)


def test_the_sockets_are_the_owners_alone(nodes):
    for role in ("core", "edge"):
        assert stat.S_IMODE(os.stat(nodes / f"run/{role}.sock").st_mode) == 0o600


def test_the_socket_is_for_the_control_group_too(place):
    group = grp.getgrgid(os.getgid()).gr_name
    text = (place / "edge.toml").read_text()
    (place / "edge.toml").write_text(text.replace("[identity]", f'control_group = "{group}"\n[identity]', 1))
    place.start("edge")
    about = os.stat(place / "run/edge.sock")
    assert stat.S_IMODE(about.st_mode) == 0o660 and about.st_gid == os.getgid()


def test_a_control_group_that_does_not_exist_is_a_configuration_error(place):
    text = (place / "edge.toml").read_text()
    (place / "edge.toml").write_text(text.replace("[identity]", 'control_group = "no-such-group"\n[identity]', 1))
    done = run("edge", "-c", place / "edge.toml")
    assert done.exit == 3 and "no-such-group" in done.err


def test_the_state_is_private_and_lasts(nodes):
    for name in ("dialback.secret", "internal-ca.key", "generation"):
        assert stat.S_IMODE(os.stat(nodes / f"state/{name}").st_mode) & 0o077 == 0, name
    assert stat.S_IMODE(os.stat(nodes / "state").st_mode) == 0o700
    before = {name: (nodes / f"state/{name}").read_bytes() for name in ("dialback.secret", "internal-ca.crt", "generation")}
    nodes.core.send_signal(signal.SIGTERM)
    assert nodes.core.wait(timeout=10) == 0
    nodes.start("core")
    for name, bytes_before in before.items():
        assert (nodes / f"state/{name}").read_bytes() == bytes_before, name


def test_a_second_core_on_the_same_state_does_not_start(nodes):
    text = (nodes / "core.toml").read_text().replace("run/core.sock", "run/other.sock")
    (nodes / "other.toml").write_text(text)
    second = run("core", "-c", nodes / "other.toml")
    assert second.exit == 1 and "another core" in second.err, second.err


def test_a_second_daemon_on_the_same_socket_does_not_start(nodes):
    second = run("edge", "-c", nodes / "edge.toml")
    assert second.exit == 1 and "another node answers" in second.err, second.err
    assert nodes.ask("edge", "status").exit == 0


def test_a_killed_node_leaves_no_socket_that_stands_in_the_way(nodes):
    nodes.edge.kill()
    nodes.edge.wait()
    assert nodes.ask("edge", "status").exit == 4
    nodes.start("edge")
    nodes.wait_linked()


def test_a_policy_change_is_live_and_a_bad_one_is_refused_whole(nodes):
    refused = nodes.ask("core", "policy", "test", "example.com", "new.example", "--json")
    assert refused.exit == 1 and refused.json["result"] == "refused"
    nodes.write_policy('[[allow]]\ndomain = "new.example"\n')
    reloaded = nodes.ask("core", "reload", "--json")
    assert reloaded.exit == 0 and reloaded.json["generation"] == 2, reloaded.out
    assert nodes.ask("core", "policy", "test", "example.com", "new.example").exit == 0
    wait_for("the edge has it", lambda: nodes.status("edge")["policy"]["generation"] == 2)

    nodes.write_policy('[[allow]]\ndmoain = "other.example"\n')
    bad = nodes.ask("core", "reload")
    assert bad.exit == 3 and "`dmoain`" in bad.out + bad.err, bad.out
    bad = nodes.ask("core", "reload", "--json")
    assert bad.exit == 3 and bad.json["error"]["text"] == bad.json["errors"][0], bad.out
    assert nodes.status("core")["policy"]["generation"] == 2
    assert nodes.ask("core", "policy", "test", "example.com", "new.example").exit == 0
    assert "reload.refused" in nodes.log("core")


def test_a_reload_without_a_change_counts_nothing(nodes):
    same = nodes.ask("core", "reload", "--json")
    assert same.exit == 0 and same.json["changed"] is False and same.json["generation"] == 1


def test_sighup_reloads(nodes):
    nodes.write_policy('[[allow]]\ndomain = "new.example"\n')
    nodes.core.send_signal(signal.SIGHUP)
    wait_for("who ordered it", lambda: 'order=reload by="signal HUP"' in nodes.log("core"))
    wait_for("generation 2", lambda: nodes.status("core")["policy"]["generation"] == 2)


def test_a_renewed_certificate_is_taken_into_use_by_itself(nodes):
    nodes.certificate("example.com", ["example.com", "chatroom1.example.com"])
    wait_for("generation 2", lambda: nodes.status("core")["policy"]["generation"] == 2)


def test_a_change_of_core_toml_is_said_to_need_a_restart(nodes):
    nodes.write_core("# another word\n")
    assert "restart" in nodes.ask("core", "reload").out
    nodes.write_edge("# another word\n")
    assert "restart" in nodes.ask("edge", "reload").out


def test_the_log_level_changes_while_the_node_runs(nodes):
    assert nodes.ask("edge", "log", "level", "debug", "--json").json == {"level": "debug"}
    assert nodes.ask("edge", "log", "level", "loud").exit == 2


def test_an_edge_that_is_not_there_is_said_once_for_each_cause(place):
    place.start("core")
    wait_for("the first words", lambda: "link.down" in place.log("core"))
    time.sleep(3)
    lines = [line for line in place.log("core").splitlines() if " link." in line]
    assert len(lines) == 1 and "code=dial.refused" in lines[0], lines
    place.start("edge")
    place.wait_linked()
    assert place.log("core").count(" link.up ") == 1


def test_a_core_that_the_edge_does_not_know_is_said_once_with_its_address(place):
    (place / "edge.toml").write_text((place / "edge.toml").read_text().replace(place.core_pin, place.edge_pin))
    place.start("edge")
    place.start("core")
    wait_for("the edge says it", lambda: "link.handshake" in place.log("edge"))
    time.sleep(3)
    lines = [line for line in place.log("edge").splitlines() if " link.handshake " in line]
    assert len(lines) == 1 and "peer=127.0.0.1:" in lines[0], lines
    lines = [line for line in place.log("core").splitlines() if " link." in line]
    assert 1 <= len(lines) == len({line.split("code=")[1].split(" ")[0] for line in lines}), lines


def test_certificates_are_warned_of_when_the_core_starts_and_when_they_change(place):
    place.start("core")
    assert "self-signed" in place.log("core")
    place.certificate("example.com", ["example.com"], days=5)
    wait_for("what is wrong now", lambda: "expires within 14 days" in place.log("core"))
    assert "covers chatroom1.example.com" in place.log("core").split("expires within 14 days")[1]


def test_the_edge_takes_its_resolver_anew_or_refuses_it(nodes):
    text = (nodes / "edge.toml").read_text()
    (nodes / "edge.toml").write_text(text.replace('"127.0.0.1:9"', '"127.0.0.1:10"'))
    done = nodes.ask("edge", "reload")
    assert done.exit == 0 and "[resolver] is in use" in done.out, done.out
    (nodes / "edge.toml").write_text(text.replace('"127.0.0.1:9"', '"resolver.example:53"'))
    assert nodes.ask("edge", "reload").exit == 3
    assert nodes.status("edge")["links"][0]["state"] == "up"


def test_questions_for_the_core_are_refused_by_the_edge(nodes):
    for words in (("explain", "a@example.com", "b@partner.example"), ("dns", "records"),
                  ("policy", "diff", nodes / "policy.toml"), ("policy", "apply", nodes / "policy.toml")):
        done = nodes.ask("edge", *words)
        assert done.exit == 1 and "control.refused" in done.err, (words, done.err)
        name = words[0] if words[0] == "explain" else f"{words[0]} {words[1]}"
        assert f"only a core answers `{name}`" in done.err, done.err
        assert "Run the command on the core" in done.err, done.err
    assert "static routes" in nodes.ask("edge", "ports").out
    assert "static routes" not in nodes.ask("core", "ports").out


@pytest.mark.parametrize("role, words", [
    ("core", ("status",)), ("edge", ("status",)), ("core", ("connections",)), ("edge", ("connections",)),
    ("core", ("explain", "a@example.com", "b@partner.example")), ("core", ("policy", "show")),
    ("edge", ("policy", "show")), ("core", ("policy", "test", "example.com", "partner.example")),
    ("core", ("dns", "records")), ("core", ("ports",)), ("edge", ("ports",))])
def test_each_question_is_answered_in_words_and_in_json(nodes, role, words):
    shown = nodes.ask(role, *words)
    assert shown.exit == 0 and shown.out.strip(), shown.err
    assert isinstance(nodes.ask(role, *words, "--json").json, dict)


def test_the_daemon_is_found_by_its_configuration(nodes):
    assert run("status", "-c", nodes / "core.toml").exit == 0


def question(path, text):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(str(path))
        one.sendall(text)
        answer = b""
        while not answer.endswith(b"\n"):
            more = one.recv(65536)
            if not more:
                break
            answer += more
        return json.loads(answer) if answer else None


@pytest.mark.parametrize("text", [b"\n", b"x\n", b"[]\n", b"{}\n", b'{"ask":7}\n', b'{"ask":"frobnicate"}\n',
                                  b'{"ask":"log level"}\n', b"\xff\xfe\n", b'{"ask":"explain"}\n', b"x" * 60000 + b"\n"])
def test_nonsense_on_the_control_socket_is_refused_and_the_node_goes_on(nodes, text):
    for role in ("core", "edge"):
        assert "error" in question(nodes / f"run/{role}.sock", text)
        assert nodes.ask(role, "status").exit == 0


@pytest.mark.parametrize("role, size", [("edge", 64 * 1024), ("core", 64 * 1024 * 1024)])
def test_a_question_longer_than_the_limit_is_refused(nodes, role, size):
    done = question(nodes / f"run/{role}.sock", b"x" * (size + 1))
    assert "longer than the limit" in done["error"]["text"]
    assert nodes.ask(role, "status").exit == 0


def test_several_questions_fit_into_one_connection(nodes):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(str(nodes / "run/core.sock"))
        one.sendall(b'{"ask":"status"}\n{"ask":"connections"}\n')
        lines = one.makefile("rb")
        assert json.loads(lines.readline())["role"] == "core"
        assert "connections" in json.loads(lines.readline())


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_tell_of_the_link(place):
    place.start("edge")
    port = place.ports["metrics"]
    assert get(port, "/livez")[0] == 200
    assert get(port, "/readyz")[0] == 503
    assert get(port, "/")[0] == 404
    place.start("core")
    place.wait_linked()
    wait_for("ready", lambda: get(port, "/readyz")[0] == 200)
    status, text = get(port, "/metrics")
    assert status == 200 and 'sallyport_link_up{link="core-1"} 1' in text and "# EOF" not in text


def test_drain_closes_the_port_to_the_world(nodes):
    wait_for("the s2s port opens", lambda: connects(nodes.ports["edge"]))
    assert nodes.ask("edge", "drain").exit == 0
    wait_for("the s2s port closes", lambda: not connects(nodes.ports["edge"]))
    assert nodes.edge.poll() is None


@pytest.mark.parametrize("role", ["edge", "core"])
def test_a_node_ends_on_sigterm_and_takes_its_socket_away(nodes, role):
    node = getattr(nodes, role)
    node.send_signal(signal.SIGTERM)
    assert node.wait(timeout=8) == 0, nodes.log(role)
    assert not (nodes / f"run/{role}.sock").exists()
    assert "door.ended" in nodes.log(role)


def test_no_core_is_dumped(nodes):
    for node in (nodes.core, nodes.edge):
        with open(f"/proc/{node.pid}/limits") as limits:
            row = next(line for line in limits if line.startswith("Max core file size"))
        assert row.split()[4:6] == ["0", "0"], row


def test_systemd_is_told(place):
    path = str(place / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(10)
        node = subprocess.Popen([program(), "edge", "-c", str(place / "edge.toml")], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": path})
        place.started.append(node)
        assert listener.recv(4096).startswith(b"READY=1")
        node.send_signal(signal.SIGHUP)
        assert listener.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert listener.recv(4096).startswith(b"READY=1")
        node.send_signal(signal.SIGTERM)
        assert listener.recv(4096) == b"STOPPING=1"
        assert node.wait(timeout=10) == 0


def test_json_logs_are_json(place):
    place.start("edge", "--log-format", "json")
    lines = [json.loads(line) for line in place.log("edge").splitlines()]
    assert "door.ready" in [line["event"] for line in lines]


def test_an_address_that_is_taken_is_a_failure_with_a_reason(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.ports["link"]))
        taken.listen()
        done = run("edge", "-c", place / "edge.toml")
        assert done.exit == 1 and str(place.ports["link"]) in done.err, done.err


def test_a_lost_ca_is_not_replaced_in_silence(place):
    core = place.start("core")
    core.send_signal(signal.SIGTERM)
    assert core.wait(timeout=10) == 0
    (place / "state/internal-ca.crt").unlink()
    (place / "state/internal-ca.key").unlink()
    done = run("core", "-c", place / "core.toml")
    assert done.exit == 3 and "internal-ca" in done.err, done.err


def steps(done):
    return {step["what"]: step for step in done.json["steps"]}


def test_check_tls_meets_the_edge_as_the_world_does(nodes):
    wait_for("the s2s port opens", lambda: connects(nodes.ports["edge"]))
    words = ("check", "tls", f"127.0.0.1:{nodes.ports['edge']}", "--json", "--ca", nodes / "certs/example.com.crt")
    for more in ((), ("--direct",)):
        done = run(*words, "--name", "example.com", *more)
        assert done.exit == 0, done.out
        assert steps(done)["TLS"]["detail"].startswith("TLSv1.3")
        assert "dialback" in steps(done)["features after TLS"]["detail"]
    alias = run(*words, "--name", "chatroom1.example.com")
    assert alias.exit == 0, alias.out
    foreign = run(*words, "--name", "stranger.example")
    assert foreign.exit == 1, foreign.out
    untrusted = run("check", "tls", f"127.0.0.1:{nodes.ports['edge']}", "--name", "example.com", "--json")
    assert untrusted.exit == 1 and steps(untrusted)["proves the domain"]["code"] == "tls.untrusted"


def test_check_tls_meets_the_core_as_the_servers_inside_do(nodes):
    words = ("check", "tls", f"127.0.0.1:{nodes.ports['core']}", "--json", "--ca", nodes / "state/internal-ca.crt")
    done = run(*words, "--name", "partner.example")
    assert done.exit == 0, done.out
    assert "partner.example" in steps(done)["certificate"]["detail"]
    # Never for an internal name.
    inside = run(*words, "--name", "x.corp.example")
    assert inside.exit == 1, inside.out


def test_check_domain_says_where_it_ends(nodes):
    done = run("check", "domain", "partner.example", "-c", nodes / "edge.toml", "--json")
    assert done.exit == 1 and steps(done)["connection"]["code"].startswith("dns."), done.out


def test_check_dns_says_that_no_resolver_answers(place):
    done = run("check", "dns", "partner.example", "-c", place / "edge.toml", "--json")
    assert done.exit == 1 and done.json["error"]["code"] == "dns.failure", done.out
