"""Policy that changes while two nodes run: diff, apply, reload, and many rows."""

import os
import stat

import pytest

from conftest import wait_for


def new_policy(nodes, extra):
    """A file for `policy diff` and `policy apply`: the policy in force and more rows."""
    before = (nodes / "policy.toml").read_text()
    (nodes / "new.toml").write_text(before + extra)
    return nodes / "new.toml"


def test_policy_diff_shows_what_would_change_and_changes_nothing(nodes):
    new = new_policy(nodes, '[[allow]]\ndomain = "new.example"\n[[deny]]\ndomain = "*.bad.example"\ndirection = "in"\n')
    shown = nodes.ask("core", "policy", "diff", new)
    assert shown.exit == 0, shown.err
    assert shown.out.startswith("+ [[allow]] new.example: direction = both\n+ [[deny]] *.bad.example: direction = in\n")
    told = nodes.ask("core", "policy", "diff", new, "--json").json
    assert told["generation"] == 1 and told["changed"] and len(told["changes"]) == 2
    assert nodes.ask("core", "policy", "test", "example.com", "new.example").exit == 1
    same = nodes.ask("core", "policy", "diff", nodes / "policy.toml")
    assert same.exit == 0 and same.out.startswith("No difference.\n")
    back = new_policy(nodes, "# only words\n")
    assert nodes.ask("core", "policy", "diff", back).out.startswith("The rows are the same")


def test_policy_apply_writes_the_file_and_is_live(nodes):
    os.chmod(nodes / "policy.toml", 0o640)
    new = new_policy(nodes, '[[allow]]\ndomain = "new.example"\n')
    done = nodes.ask("core", "policy", "apply", new, "--if-generation", "1")
    assert done.exit == 0 and done.out.startswith("+ [[allow]] new.example: direction = both\nIn force: generation 2"), done.out
    assert (nodes / "policy.toml").read_bytes() == new.read_bytes()
    assert stat.S_IMODE(os.stat(nodes / "policy.toml").st_mode) == 0o640
    assert nodes.ask("core", "policy", "test", "example.com", "new.example").exit == 0
    wait_for("the edge has it", lambda: nodes.status("edge")["policy"]["generation"] == 2)
    # Reading the new file again changes nothing.
    assert nodes.ask("core", "reload", "--json").json["changed"] is False
    again = nodes.ask("core", "policy", "apply", new, "--json")
    assert again.exit == 0 and again.json["changed"] is False and again.json["generation"] == 2


@pytest.mark.parametrize("extra, exit_code, word", [
    ('[[allow]]\ndmoain = "x.example"\n', 3, "`dmoain`"), ('[[allow]]\ndomain = "corp.example"\n', 3, "corp.example"),
    ('[federation]\ntrusted_ca = "absent.pem"\n', 3, "absent.pem"), ('# \udcff\n', 3, "UTF-8")])
def test_a_bad_policy_is_not_applied(nodes, extra, exit_code, word):
    before = (nodes / "policy.toml").read_bytes()
    (nodes / "new.toml").write_bytes(before + extra.encode("utf-8", "surrogateescape"))
    for order in ("apply", "diff"):
        done = nodes.ask("core", "policy", order, nodes / "new.toml")
        assert done.exit == exit_code and word in done.out + done.err, done.out + done.err
        if "[[allow]]" in extra:
            assert f"{nodes / 'new.toml'}:" in done.out, "the file is called what its author calls it"
    assert (nodes / "policy.toml").read_bytes() == before
    assert nodes.status("core")["policy"]["generation"] == 1
    assert sorted(name for name in os.listdir(nodes.folder) if name.startswith("policy")) == ["policy.toml"]


def test_two_who_change_the_policy_do_not_undo_each_other(nodes):
    mine = new_policy(nodes, '[[allow]]\ndomain = "mine.example"\n')
    (nodes / "theirs.toml").write_text((nodes / "policy.toml").read_text() + '[[allow]]\ndomain = "theirs.example"\n')
    assert nodes.ask("core", "policy", "apply", nodes / "theirs.toml", "--if-generation", "1").exit == 0
    late = nodes.ask("core", "policy", "apply", mine, "--if-generation", "1")
    assert late.exit == 1 and "control.generation" in late.err, late.err
    assert b"theirs.example" in (nodes / "policy.toml").read_bytes()
    # Nor is an edit by hand overwritten before it has been reloaded.
    with open(nodes / "policy.toml", "a") as text:
        text.write('[[allow]]\ndomain = "by-hand.example"\n')
    over = nodes.ask("core", "policy", "apply", mine)
    assert over.exit == 1 and "control.edited" in over.err, over.err
    assert nodes.ask("core", "reload").exit == 0
    assert nodes.ask("core", "policy", "apply", mine).exit == 0
    assert nodes.ask("core", "policy", "apply", mine, "--if-generation", "x").exit == 2


def test_a_policy_that_went_astray_is_made_again(nodes):
    new = new_policy(nodes, '[[allow]]\ndomain = "new.example"\n')
    (nodes / "policy.toml").unlink()
    assert nodes.ask("core", "policy", "apply", new).exit == 0
    assert (nodes / "policy.toml").read_bytes() == new.read_bytes()


def test_a_large_policy_travels(nodes):
    rows = "".join(f'[[allow]]\ndomain = "partner-{i}.example"\n' for i in range(20_000))
    new = new_policy(nodes, rows)
    assert len(nodes.ask("core", "policy", "diff", new, "--json").json["changes"]) == 20_000
    assert nodes.ask("core", "policy", "apply", new).exit == 0
    wait_for("the edge has it", lambda: nodes.status("edge")["policy"]["generation"] == 2)


def many_rows(count):
    return "".join(f'[[allow]]\ndomain = "partner-{i}.example"\n' for i in range(count))


def test_others_are_answered_while_a_policy_is_judged(nodes):
    nodes.write_policy(many_rows(100_000))
    with nodes.question("core", {"ask": "reload"}) as first, nodes.question("core", {"ask": "reload"}) as second:
        with nodes.question("core", {"ask": "status"}) as meanwhile:
            assert meanwhile.answer()["policy"]["generation"] == 1
        assert first.answer()["generation"] == 2
        assert second.answer()["generation"] == 2
    assert nodes.status("core")["policy"]["generation"] == 2
    wait_for("the edge has it", lambda: nodes.status("edge")["policy"]["generation"] == 2)


def test_orders_for_the_policy_are_carried_out_in_turn(nodes):
    text = (nodes / "policy.toml").read_text() + many_rows(20_000)
    order = {"ask": "policy apply", "name": "new.toml", "text": text, "generation": 1}
    with nodes.question("core", order) as first, nodes.question("core", order) as second:
        answers = [first.answer(), second.answer()]
    assert sorted("error" in answer for answer in answers) == [False, True], answers
    assert nodes.status("core")["policy"]["generation"] == 2


def test_a_core_ends_while_a_policy_is_judged(nodes):
    nodes.write_policy(many_rows(100_000))
    with nodes.question("core", {"ask": "reload"}):
        nodes.core.terminate()
        assert nodes.core.wait(10) == 0
