"""Commands that need no running node: exit codes, configuration, keys, records, ports."""

import os
import shutil
import stat
import subprocess

import pytest

from conftest import ROOT, run, toml_blocks


@pytest.mark.parametrize("words, code", [
    ((), 2),
    (("--help",), 0),
    (("version",), 0),
    (("frobnicate",), 2),
    (("check",), 2),
    (("check", "config"), 2),
    (("edge",), 2),
    (("edge", "-c", "/nowhere/edge.toml"), 3),
    (("core", "-c", "/nowhere/core.toml"), 3),
    (("check", "config", "/nowhere/edge.toml"), 3),
    (("status", "--control", "/nowhere/x.sock"), 4),
    (("status", "-c", "/nowhere/core.toml"), 3),
    (("keygen",), 2),
    (("check", "tls", "127.0.0.1", "--name", "not a domain"), 2),
])
def test_exit_codes(words, code):
    done = run(*words)
    assert done.exit == code, done.err
    assert done.err if code else done.out


@pytest.mark.parametrize("words, exit_code, code", [
    (("status", "--jsn", "--json"), 2, ""),
    (("frobnicate", "--json"), 2, ""),
    (("keygen", "--json"), 2, ""),
    (("status", "-c", "/nowhere/core.toml", "--json"), 3, "config.missing"),
    (("status", "--control", "/nowhere/x.sock", "--json"), 4, "control.absent"),
    (("check", "config", "/nowhere/edge.toml", "--json"), 3, "config.missing"),
    (("check", "domain", "partner.example", "-c", "core.toml", "--json"), 3, "config.role"),
    (("keygen", "--out-cert", "edge.crt", "--out-key", "edge.key", "--json"), 1, "file.unreadable"),
    (("ports", "--nft", "--json", "-c", "edge.toml"), 1, "config.missing"),
])
def test_a_failure_is_one_json_object(place, words, exit_code, code):
    done = run(*words, cwd=place.folder)
    error = done.json["error"]
    assert done.exit == exit_code and error["code"] == code and error["text"], done.out
    assert error["sentence"] and error["remedy"] and done.err or "errors" in done.json, done.out


def test_firewall_rules_as_json(place):
    words = ("ports", "--nft", "-c", place / "edge.toml", "-c", place / "core.toml")
    assert run(*words, "--json").json == {"nft": run(*words).out}


def test_commands_md_is_written_from_the_table():
    with open(f"{ROOT}/docs/commands.md", encoding="utf-8") as page:
        assert page.read() == run("help", "--markdown").out, "run: sallyport help --markdown > docs/commands.md"


def test_the_manual_page_is_roff():
    page = run("help", "--man").out
    assert page.startswith(".TH SALLYPORT 8")
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr


def completed(line):
    words = line.split(" ")
    script = run("help", "--completion", "bash").out
    array = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _sallyport; "
                       'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, cwd="/")
    assert not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("line, some", [
    ("sallyport ch", {"check"}), ("sallyport check ", {"config", "dns", "tls", "domain"}),
    ("sallyport status --c", {"--config", "--control"}), ("sallyport edge --log-format ", {"text", "json"}),
    ("sallyport log level deb", {"debug"}), ("sallyport keygen --out-", {"--out-cert", "--out-key"}),
    ("sallyport help ", {"check", "status", "policy"}), ("sallyport help check ", {"config", "domain"})])
def test_completion_completes(line, some):
    assert some <= set(completed(line)), completed(line)


def test_good_files_are_good(place):
    done = run("check", "config", place / "edge.toml", place / "core.toml", place / "policy.toml")
    assert done.exit == 0, done.err
    assert done.out == "No errors.\n"
    assert run("check", "config", "-c", place / "core.toml").exit == 0


@pytest.mark.parametrize("name", ["edge.toml", "core.toml", "other.toml"])
def test_a_fault_in_the_first_line_has_its_place_too(place, name):
    (place / name).write_text('[edge\nname = "x"\n')
    done = run("check", "config", place / name)
    assert done.exit == 3 and f"{name}:1:6: " in done.err, done.err


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_one(place):
    text = (place / "edge.toml").read_text().replace("name      =", "nmae      =", 1)
    (place / "edge.toml").write_text(text)
    done = run("check", "config", place / "edge.toml")
    assert done.exit == 3
    assert f"{place / 'edge.toml'}:2:1: " in done.err and "`nmae`" in done.err and "`name`" in done.err
    started = run("edge", "-c", place / "edge.toml")
    assert started.exit == 3 and f"{place / 'edge.toml'}:2:1: " in started.err


def test_every_error_of_every_file_is_shown(place):
    (place / "core.key").unlink()
    (place / "certs/example.com.key").unlink()
    place.write_policy('[[alow]]\ndomain = "x.example"\n')
    done = run("check", "config", place / "core.toml")
    assert done.exit == 3
    for part in ("core.key", "example.com.key", "`alow`"):
        assert part in done.err, done.err
    found = run("check", "config", place / "core.toml", "--json").json["errors"]
    assert {"config.missing", "config.key"} <= {one["code"] for one in found}
    assert all(one["file"] for one in found)


def test_keys_that_do_not_belong_together_are_refused(place):
    shutil.copy(place / "core.key", place / "edge.key")
    done = run("check", "config", place / "edge.toml")
    assert done.exit == 3 and "is not the key of" in done.err


def short_secret(place):
    (place / "short.secret").write_text("123456")
    place.insert("core", "[core]", 'dialback_secret = "short.secret"')
    return "short.secret: a dialback secret must have at least 32 characters [file.format]"


def foreign_ca_key(place):
    place.insert("core", "[internal]", 'ca_certificate = "certs/example.com.crt"\nca_key = "core.key"')
    return "certs/example.com.crt: the key is not that of the first certificate"


def no_trust_anchor(place):
    (place / "root.key").write_text("no record\n")
    place.insert("edge", "[resolver]", 'trust_anchor = "root.key"')
    return "root.key: `trust_anchor` in [resolver] must be a file with DS or DNSKEY records"


def long_control(place):
    text = (place / "edge.toml").read_text().replace("run/edge.sock", "run/" + "s" * 108)
    (place / "edge.toml").write_text(text)
    return "edge.toml:5:13: `control` is "


@pytest.mark.parametrize("role, spoil", [
    ("core", short_secret), ("core", foreign_ca_key), ("edge", no_trust_anchor), ("edge", long_control)])
def test_check_config_finds_what_the_node_would_refuse(place, role, spoil):
    assert run("check", "config", place / f"{role}.toml").exit == 0
    message = spoil(place)
    for words in (("check", "config"), (role, "-c")):
        done = run(*words, place / f"{role}.toml")
        assert done.exit == 3 and message in done.err, (words, done.err)


@pytest.mark.parametrize("name", ["dialback.secret", "internal-ca.key"])
def test_a_secret_in_state_that_others_may_read_is_warned_of(place, name):
    place.start("core")
    assert "config.exposed" not in run("check", "config", place / "core.toml").err
    place.end()
    (place / "state").chmod(0o755)
    (place / "state" / name).chmod(0o644)
    assert f"state/{name}: holds a secret and has mode 0644" in run("check", "config", place / "core.toml").err
    place.start("core")
    assert "config.exposed" in place.log("core") and f"state/{name}" in place.log("core")


@pytest.mark.parametrize("name, role", [("edge.toml", "core"), ("core.toml", "edge"), ("policy.toml", "edge")])
def test_a_role_that_is_named_is_no_role_that_the_file_has(place, name, role):
    done = run("check", "config", place / name, "--role", role)
    assert done.exit == 3 and "has the tables of" not in done.err, done.err


def test_a_directory_or_too_large_a_policy_is_not_missing(place):
    (place / "policy.toml").unlink()
    assert "[config.missing]" in run("check", "config", place / "core.toml").err
    (place / "policy.toml").mkdir()
    assert "Is a directory [file.unreadable]" in run("check", "config", place / "core.toml").err
    (place / "large.toml").write_bytes(b"#" * (65 << 20))
    for name, code in (("certs", "file.unreadable"), ("large.toml", "file.unreadable"), ("absent", "config.missing")):
        done = run("policy", "apply", place / name, "--control", "/nowhere/x.sock", "--json")
        assert done.exit == 3 and done.json["error"]["code"] == code, done.out


@pytest.mark.parametrize("extra, warned", [
    ('[federation]\nenabled = false\n', "`enabled` in [federation] is false"),
    ('expires = 2001-01-31\n', "no [[allow]] row is in force"),
    ('', "")])
def test_a_policy_that_federates_with_nobody_is_warned_of(place, extra, warned):
    place.write_policy(extra)
    done = run("check", "config", place / "core.toml")
    assert done.exit == 0 and warned in done.err and bool(warned) == ("config.serves-nothing" in done.err), done.err


def test_a_name_without_a_certificate_is_warned_of(place):
    place.write_policy('[[domain]]\nname = "other.example"\nservers = ["127.0.0.1:9"]\n')
    done = run("check", "config", place / "core.toml")
    assert done.exit == 0 and "other.example" in done.err and "warning" in done.err


def test_rows_that_have_expired_are_warned_of(place):
    place.write_policy('expires = 2001-01-31\n[[allow]]\ndomain = "later.example"\nexpires = 2999-12-31\n')
    shutil.copy(place / "policy.toml", place / "other.toml")
    for words in ((place / "core.toml",), (place / "policy.toml",), (place / "core.toml", place / "other.toml")):
        done = run("check", "config", *words)
        assert done.exit == 0 and "expired" in done.err, done.err
        assert "later.example" not in done.err


def test_a_policy_is_judged_by_the_core_beside_it(place, tmp_path):
    assert run("check", "config", place / "policy.toml").exit == 0
    place.write_policy('[[allow]]\ndomain = "corp.example"\n')
    for words in ((place / "policy.toml",), (place / "policy.toml", place / "core.toml")):
        done = run("check", "config", *words)
        assert done.exit == 3 and done.err.count("corp.example") == 1, done.err
    shutil.copy(place / "policy.toml", tmp_path / "policy.toml")
    alone = run("check", "config", tmp_path / "policy.toml")
    assert alone.exit == 2 and "core.toml" in alone.err
    assert run("check", "config", tmp_path / "policy.toml", place / "core.toml").exit == 3


def test_files_that_are_none_of_the_three_need_their_role(place):
    (place / "x.toml").write_text('[internal]\nnames = []\n')
    assert run("check", "config", place / "x.toml").exit == 2
    assert run("check", "config", "--role", "core", place / "x.toml").exit == 3


def test_keygen_writes_a_private_key_for_its_owner_and_shows_the_same_pin_again(place):
    assert stat.S_IMODE(os.stat(place / "edge.key").st_mode) == 0o600
    assert place.edge_pin.startswith("sha256:") and len(place.edge_pin) == 7 + 44
    for name in ("edge.crt", "edge.key"):
        assert run("keygen", "--show", place / name).out.strip() == place.edge_pin
    assert run("keygen", "--show", place / "edge.crt", "--json").json == {"pin": place.edge_pin}
    refused = run("keygen", "--out-cert", place / "edge.crt", "--out-key", place / "new.key")
    assert refused.exit == 1 and not (place / "new.key").exists(), "a key without a certificate is left"
    again = run("keygen", "--out-cert", place / "new.crt", "--out-key", place / "edge.key")
    assert again.exit == 1 and not (place / "new.crt").exists()
    assert run("keygen", "--show", place / "edge.key").out.strip() == place.edge_pin


def test_records_to_publish_name_every_served_name_and_no_inside_one(place):
    done = run("dns", "records", "-c", place / "core.toml")
    assert done.out.splitlines() == [
        "_xmpp-server._tcp.example.com. 3600 IN SRV 0 0 5269 vcse.example.com.",
        "_xmpp-server._tcp.chatroom1.example.com. 3600 IN SRV 0 0 5269 vcse.example.com."]
    assert run("dns", "records", "-c", place / "core.toml", "--json").json["records"][0]["port"] == 5269
    assert run("dns", "records", "-c", place / "core.toml", "--port", "70000").exit == 2


def test_ports_of_both_nodes(place):
    done = run("ports", "-c", place / "edge.toml", "-c", place / "core.toml")
    assert done.exit == 0
    for part in (f"TCP {place.ports['link']}", f"TCP {place.ports['edge']}", "UDP+TCP 9", "s2s outbound"):
        assert part in done.out, done.out
    assert "static routes" not in done.out, "they are in the table"
    alone = run("ports", "-c", place / "edge.toml", "--json").json
    assert len(alone["ports"]) == 4 and len(alone["notes"]) == 1 and "static routes" in alone["notes"][0]
    assert alone["notes"][0] in run("ports", "-c", place / "edge.toml").out


def test_rules_for_every_host_or_none(place):
    place.write_policy("""
[[static_route]]
domain  = "q.example"
address = "host.q.example:5271"
[[static_route]]
domain  = "q.example"
address = "10.9.9.9:5271"
""")
    text = (place / "policy.toml").read_text()
    (place / "policy.toml").write_text(text.replace('["127.0.0.1:9"]', '["127.0.0.1:9", "xmpp.corp.example:9"]', 1))
    words = ("ports", "--nft", "-c", place / "edge.toml", "-c", place / "core.toml")
    done = run(*words)
    assert done.exit == 1 and not done.out, done.out
    for host in ("xmpp.corp.example", "host.q.example"):
        assert done.err.count(f"the IP address of `{host}` is not known") == 2, done.err
    words += ("--address", "xmpp.corp.example=10.0.0.6", "--address", "host.q.example=198.51.100.7")
    full = run(*words)
    assert full.exit == 0, full.err
    port = place.ports["edge"]
    for part in ("daddr { 10.0.0.6 } tcp dport { 9 }", "daddr { 198.51.100.7 } tcp dport { 5271 }",
                 "daddr { 10.9.9.9 } tcp dport { 5271 }", f"saddr {{ 10.9.9.9 }} ip daddr {{ 127.0.0.1 }} tcp dport {{ {port} }}"):
        assert part in full.out, full.out


def test_private_peers_may_dial_the_edge(place):
    place.write_edge('[outbound]\nallow_networks = ["10.8.0.0/16"]\n')
    rules = run("ports", "--nft", "-c", place / "edge.toml", "--address", "core=10.0.0.5")
    assert rules.exit == 0 and rules.out.startswith("# The rows of static routes are not in this table"), rules.err
    assert f"ip saddr {{ 10.8.0.0/16 }} ip daddr {{ 127.0.0.1 }} tcp dport {{ {place.ports['edge']} }}" in rules.out


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="nft --check needs root")
def test_the_rules_are_ones_that_nftables_takes(place):
    rules = run("ports", "--nft", "-c", place / "edge.toml", "-c", place / "core.toml").out
    assert "accept" in rules
    done = subprocess.run(["unshare", "-n", "nft", "--check", "-f", "-"], input=rules, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + rules


def test_certificates_are_listed_and_the_missing_ones_named(place):
    place.write_policy('[[domain]]\nname = "other.example"\nservers = ["127.0.0.1:9"]\n')
    listed = run("cert", "list", "-c", place / "core.toml", "--json").json
    assert listed["without"] == ["other.example"]
    assert set(listed["certificates"][0]["names"]) == {"example.com", "chatroom1.example.com"}
    assert "There is no certificate for other.example." in run("cert", "list", "-c", place / "core.toml").out


def test_a_certificate_request_names_what_is_served(place):
    done = run("cert", "csr", "-c", place / "core.toml", "--out-key", place / "new.key")
    assert done.exit == 0, done.err
    text = subprocess.run(["openssl", "req", "-noout", "-text", "-verify"], input=done.out, capture_output=True, text=True)
    assert "DNS:example.com, DNS:chatroom1.example.com" in text.stdout
    assert stat.S_IMODE(os.stat(place / "new.key").st_mode) == 0o600
    assert run("cert", "csr", "bücher.example", "--out-key", place / "b.key", "--out-csr", place / "b.csr").exit == 0


def test_the_examples_in_the_readme_are_good(place, tmp_path):
    """The files of the README are valid, with the pins and certificates of this place."""
    blocks = toml_blocks(f"{ROOT}/README.md")
    assert len(blocks) == 3
    for text in blocks:
        name = "edge" if "[edge]" in text else "core" if "[core]" in text else "policy"
        if name != "policy":
            pin = place.core_pin if name == "edge" else place.edge_pin
            text = text[:text.index("sha256:")] + pin + text[text.index('"]', text.index("sha256:")):]
        (place / "policy").mkdir(exist_ok=True)
        (place / ("policy/policy.toml" if name == "policy" else f"{name}.toml")).write_text(text)
    done = run("check", "config", place / "edge.toml", place / "core.toml", place / "policy/policy.toml")
    assert done.exit == 0, done.err
    assert run("check", "config", place / "policy/policy.toml").exit == 0, "the core.toml is in the folder above"
