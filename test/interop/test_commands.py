"""The command line against running nodes: its answers and exit codes."""

import json
import subprocess

import pytest

from lab import address as at
from lab.world import ALICE, BOB, EXTERNAL

pytestmark = pytest.mark.gateway

QUESTIONS = [
    ("core", "status"), ("edge", "status"), ("core", "connections"), ("edge", "connections"),
    ("core", "explain", ALICE, BOB), ("core", "dns", "records"), ("core", "ports"), ("edge", "ports"),
    ("core", "policy", "show")]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: "-".join(w.split("@")[0] for w in q))
def test_each_question_is_answered_in_words_and_in_json(world, question):
    role, *words = question
    assert world.gateway.ask(role, *words).strip()
    assert json.loads(world.gateway.ask(role, *words, "--json"))


def test_both_nodes_show_the_same_policy(world):
    shown = [json.dumps(world.gateway.ask_json(role, "status")) for role in ("core", "edge")]
    sums = [set(word for word in text.replace('"', " ").split() if len(word) == 64) for text in shown]
    assert sums[0] & sums[1], shown


def test_the_srv_records_to_publish_are_those_of_the_lab(world):
    shown = world.gateway.ask("core", "dns", "records")
    for name in (at.DOMAIN, at.ALIAS):
        assert f"_xmpp-server._tcp.{name}" in shown, shown
    assert at.NODE not in shown or not world.options.mapped, shown


def exit_code(world, *words):
    return subprocess.run([world.gateway.binary, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=20).returncode


def test_exit_codes_tell_what_went_wrong(world, tmp_path):
    folder = world.gateway.folder
    broken = tmp_path / "edge.toml"
    broken.write_text('[edge]\nnmae = "vcse.example.com"\n')
    assert exit_code(world, "check", "config", "-c", f"{folder}/edge/edge.toml") == 0
    assert exit_code(world, "check", "config", "-c", f"{folder}/core/core.toml") == 0
    assert exit_code(world, "frobnicate") == 2
    assert exit_code(world, "check", "config", "-c", str(broken)) in (1, 3)
    assert exit_code(world, "edge", "-c", str(broken)) == 3
    assert exit_code(world, "status", "--control", str(tmp_path / "nobody.sock")) == 4


def verdicts(answer):
    return {step["what"]: step["verdict"] for step in answer["steps"]}


def test_check_domain_finds_no_fault_in_a_healthy_partner(world):
    answer = world.gateway.ask_json("edge", "check", "domain", at.REMOTE)
    assert answer["result"] == "ok" and answer["by"] == "edge", answer
    if (world.options.outside, world.options.proof) == ("prosody", EXTERNAL):  # s2s_secure_auth = true
        assert set(verdicts(answer).values()) == {"pass"}, answer
        assert "EXTERNAL" in next(step["detail"] for step in answer["steps"] if step["what"] == "our proof")


def test_check_domain_without_the_edge_warns_of_a_strict_partner(world):
    gateway = world.gateway
    done = subprocess.run(
        ["ip", "netns", "exec", gateway.network.namespace("edge"), gateway.binary, "check", "domain", at.REMOTE, "--json",
         "--control", "/nowhere/edge.sock", "-c", f"{gateway.folder}/edge/edge.toml",
         "--ca", f"{gateway.folder}/core/public-ca.crt"], stdout=subprocess.PIPE, text=True, timeout=40)
    answer = json.loads(done.stdout)
    assert answer["by"] == "command" and verdicts(answer)["our certificate"] == "warn", answer
    if world.options.proof == EXTERNAL:
        assert done.returncode == 0 and verdicts(answer)["our proof"] == "warn", answer
