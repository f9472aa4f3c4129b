"""A world for experiments: python3 -m lab --inside ejabberd --proof dialback ...

Starts it, prints where everything is, and removes it at the end of input or Ctrl-C.
"""

import argparse
import sys

from . import net, pki
from .world import ALICE, BOB, DIALBACK, DIALBACK_VALID, EXTERNAL, Options, World

PROOFS = {"external": EXTERNAL, "dialback": DIALBACK, "dialback_valid": DIALBACK_VALID}


def main():
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__.splitlines()[0])
    parser.add_argument("--inside", choices=("prosody", "ejabberd"), default="prosody")
    parser.add_argument("--outside", choices=("prosody", "ejabberd", "jabberd2"), default="ejabberd")
    parser.add_argument("--proof", choices=PROOFS, default="external")
    parser.add_argument("--trust", choices=("minted", "dialback"), default="minted")
    parser.add_argument("--mapped", action="store_true", help="the alias stands for a chat node of another name")
    parser.add_argument("--both-ekus", action="store_true", help="public certificates allow clientAuth, too")
    parser.add_argument("--direct", action="store_true", help="no gateway")
    parser.add_argument("--chat", action="store_true", help="alice and bob exchange a message at once")
    words = parser.parse_args()
    options = Options(inside=words.inside, outside=words.outside, proof=PROOFS[words.proof],
                      trust=words.trust, mapped=words.mapped, direct=words.direct,
                      eku=pki.EKU_BOTH if words.both_ekus else pki.EKU_SERVER)
    with World(net.fresh_name(), options) as world:
        print(f"namespaces: {', '.join(map(world.network.namespace, world.network.hosts))}\n"
              f"folder:     {world.folder}\nlogs:       {world.logs}", flush=True)
        if words.chat:
            chat(world)
        print("Press Enter (or end the input) to remove it.", flush=True)
        sys.stdin.readline()


def chat(world):
    alice, bob = world.client(ALICE), world.client(BOB)
    for sender, receiver in ((alice, bob), (bob, alice)):
        id = sender.message(receiver.jid, f"hello from {sender.jid}")
        seen = receiver.expect(lambda s: s.id == id or s.body == f"hello from {sender.jid}", 30)
        print(f"{receiver.jid} sees {seen}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
