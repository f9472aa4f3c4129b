"""`check domain` and `check tls`, by the running edge, and by the command without one."""

import json
import signal
import socket
import subprocess
import time

import pytest

from conftest import run, wait_for
from test_nodes import connects
from xmpp import Server

PARTNER = "partner.example"


class Partner:
    """Two nodes, and a strict peer that accepts only certificates from its peers."""

    def __init__(self, place, our_usage="serverAuth,clientAuth"):
        self.place = place
        self.openssl("ca", "CA", [], "-addext", "basicConstraints=critical,CA:TRUE")
        # Python's TLS, which the peer uses, requires clientAuth in certificates of clients.
        for stem, names, usage in (("partner", [PARTNER], "serverAuth"),
                                   ("certs/example.com", ["example.com", "chatroom1.example.com"], our_usage)):
            self.openssl(stem, names[0], names, "-CA", str(place / "ca.crt"), "-CAkey", str(place / "ca.key"),
                         "-addext", f"extendedKeyUsage={usage}")
        self.server = Server(place / "partner.crt", place / "partner.key", place / "ca.crt")
        self.silent = socket.create_server(("127.0.0.1", 0))  # accepts, and never sends anything
        place.write_policy(f"""
[federation]
trusted_ca = "ca.crt"

[[static_route]]
domain  = "{PARTNER}"
address = "127.0.0.1:{self.server.port}"

[[static_route]]
domain  = "silent.example"
address = "127.0.0.1:{self.silent.getsockname()[1]}"

[[static_route]]
domain  = "denied.example"
address = "127.0.0.1:{self.server.port}"

[[deny]]
domain = "denied.example"
""")

    def openssl(self, stem, name, names, *words):
        if names:
            words = (*words, "-addext", "subjectAltName=" + ",".join(f"DNS:{each}" for each in names))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", f"/CN={name}", "-keyout", str(self.place / f"{stem}.key"), "-out", str(self.place / f"{stem}.crt"),
             *words], check=True, capture_output=True)

    def start(self):
        self.place.start("edge")
        self.place.start("core")
        self.place.wait_linked()
        wait_for("the s2s port opens", lambda: connects(self.place.ports["edge"]))
        return self

    def check(self, *words, role="edge"):
        return self.place.ask(role, "check", *words, "--json")

    def end(self):
        self.server.close()
        self.silent.close()


@pytest.fixture
def partner(place):
    made = Partner(place)
    yield made
    made.end()


def steps(done):
    return {step["what"]: step for step in done.json["steps"]}


def verdicts(done):
    return {what: step["verdict"] for what, step in steps(done).items()}


def one_remedy_each(done):
    for step in done.json["steps"]:
        assert ("remedy" in step) == (step["verdict"] != "pass"), step
        assert step["ok"] == (step["verdict"] != "fail"), step
    return True


def test_a_strict_partner_passes_with_the_certificate_of_the_edge(partner):
    partner.start()
    done = partner.check("domain", PARTNER)
    assert done.exit == 0, done.out + done.err
    assert set(verdicts(done).values()) == {"pass"}, done.out
    assert {"our certificate", "policy", "DNS", "connection", "features", "TLS", "certificate", "chain", "dates", "EKU",
            "proves the domain", "features after TLS", "our proof", "session"} == set(steps(done))
    assert (done.json["by"], done.json["local"], done.json["domain"]) == ("edge", "example.com", PARTNER)
    assert done.json["result"] == "ok"
    assert "serverAuth only" in steps(done)["EKU"]["detail"]
    assert "clientAuth" in steps(done)["our certificate"]["detail"]
    shown = partner.place.ask("edge", "check", "domain", PARTNER)
    assert shown.exit == 0 and shown.out.endswith("\nok\n"), shown.out
    assert "check.ordered" in partner.place.log("edge")


def test_a_partner_that_refuses_our_certificate_in_tls_is_shown_as_that(place):
    partner = Partner(place, our_usage="serverAuth")
    try:
        done = partner.start().check("domain", PARTNER)
    finally:
        partner.end()
    proof = steps(done)["our proof"]
    assert done.exit == 1 and done.json["result"] == "failed", done.out
    assert proof["verdict"] == "fail" and proof["code"] == "sasl.refused" and "clientAuth" in proof["remedy"], proof
    assert "stream header" not in steps(done), done.out


def test_check_tls_passes_too_and_calls_its_argument_what_it_is(partner):
    partner.start()
    done = partner.check("tls", f"127.0.0.1:{partner.server.port}", "--name", PARTNER)
    assert done.exit == 0 and set(verdicts(done).values()) == {"pass"}, done.out
    assert "given address" in steps(done)["connection"]["detail"]
    assert "static route" not in done.out


def test_the_local_domain_may_be_chosen(partner):
    partner.start()
    done = partner.check("domain", PARTNER, "--as", "chatroom1.example.com")
    assert done.exit == 0 and done.json["local"] == "chatroom1.example.com", done.out
    assert "chatroom1.example.com" in steps(done)["our proof"]["detail"]
    foreign = partner.check("domain", PARTNER, "--as", "stranger.example")
    assert foreign.exit == 1 and foreign.json["error"]["code"] == "policy.not-local", foreign.out


def test_what_policy_refuses_is_said_and_our_own_names_are_not_dialled(partner):
    partner.start()
    denied = partner.check("domain", "denied.example")
    assert denied.exit == 1 and one_remedy_each(denied)
    assert steps(denied)["policy"]["code"] == "policy.denied"
    assert steps(denied)["proves the domain"]["code"] == "tls.name-mismatch"
    own = partner.check("domain", "example.com")
    assert own.exit == 1 and list(steps(own)) == ["policy"], own.out


def test_an_internal_name_that_only_the_core_knows_is_not_dialled(partner):
    partner.start()
    for name in ("corp.example", "in.corp.example"):
        done = partner.check("domain", name)
        assert done.exit == 1 and list(steps(done)) == ["policy"], done.out
        assert steps(done)["policy"]["code"] == "policy.inside-name", done.out


def test_without_an_edge_the_check_says_why_it_offers_no_certificate_and_warns(partner):
    place = partner.place
    place.start("edge")

    def alone(control, reason):
        done = run("check", "tls", f"127.0.0.1:{partner.server.port}", "--name", PARTNER, "--as", "example.com",
                   "--ca", place / "ca.crt", "--control", control, "--json")
        assert done.exit == 0 and done.json["result"] == "ok" and one_remedy_each(done), done.out + done.err
        assert done.json["by"] == "command"
        why = steps(done)["our certificate"]
        assert why["verdict"] == "warn" and reason in why["detail"], why
        assert steps(done)["policy"]["verdict"] == "warn" and "not asked" in steps(done)["policy"]["detail"]
        assert verdicts(done)["our proof"] == "warn", done.out

    alone(place / "run/nobody.sock", "nobody.sock")
    alone(place / "run/edge.sock", "No core has pushed a policy")
    place.start("core")
    alone(place / "run/core.sock", "vcse.example.com (127.0.0.1)")


def test_a_check_that_hangs_holds_up_nobody(partner):
    partner.start()
    with partner.place.question("edge", {"ask": "check domain", "domain": "silent.example"}) as hanging:
        time.sleep(0.3)
        begun = time.monotonic()
        assert partner.check("domain", PARTNER).exit == 0
        assert partner.place.ask("edge", "status").exit == 0
        assert time.monotonic() - begun < 10
        # The edge does not wait for it when it ends.
        edge = partner.place.started[0]
        edge.send_signal(signal.SIGTERM)
        assert edge.wait(timeout=10) == 0
    del hanging


def test_an_order_that_cannot_be_read_is_refused(partner):
    partner.start()
    for words in ({"ask": "check domain"}, {"ask": "check domain", "domain": "a b"}, {"ask": "check tls", "domain": PARTNER}):
        with partner.place.question("edge", words) as asked:
            assert asked.answer()["error"]["code"] == "control.refused", words


def test_a_core_toml_is_called_what_it_is(place):
    for words in (("check", "domain", PARTNER), ("check", "dns", PARTNER), ("check", "tls", "127.0.0.1", "--name", PARTNER)):
        done = run(*words, "-c", place / "core.toml")
        assert done.exit == 3 and "configuration of a core" in done.err, done.err
        assert "edge.toml" in done.err and "unknown key" not in done.err


def test_a_bad_domain_and_a_file_that_exists_are_called_what_they_are(place):
    for words in (("check", "dns", "not a domain"), ("check", "domain", "not a domain"),
                  ("check", "domain", PARTNER, "--as", "not a domain"), ("cert", "csr", "not a domain", "--out-key", place / "k")):
        done = run(*words)
        assert done.exit == 2 and "`not a domain` is not a valid domain name" in done.err, done.err
    for words in (("keygen", "--out-cert", place / "new.crt", "--out-key", place / "edge.key"),
                  ("cert", "csr", "example.com", "--out-key", place / "edge.key")):
        done = run(*words)
        assert done.exit == 1 and "exists already" in done.err and "could not be read" not in done.err, done.err


def test_the_answer_of_a_check_is_documented_member_by_member(partner):
    partner.start()
    with open(f"{__file__.rsplit('/test/', 1)[0]}/docs/control.md") as file:
        section = file.read().split("## Checks", 1)[1]
    done = partner.check("domain", PARTNER)
    names = set(done.json) | {name for step in done.json["steps"] for name in step} | {"code", "remedy"}
    for name in names | set(steps(done)):
        assert f"`{name}`" in section, f"{name}: {json.dumps(done.json, indent=1)}"
