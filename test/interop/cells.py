"""The matrix of worlds that the suite makes.

Besides the three axes each cell takes one of the ways in which a company may set
things up (alias mapped or not, trust minted or by dialback), spread so that every
server meets each of them.
"""

from lab import pki
from lab.world import DIALBACK, DIALBACK_VALID, EXTERNAL, Options

INSIDE = ("prosody", "ejabberd")
OUTSIDE = ("prosody", "ejabberd", "jabberd2")
PROOFS = (EXTERNAL, DIALBACK, DIALBACK_VALID)
SHORT = {EXTERNAL: "external", DIALBACK: "dialback", DIALBACK_VALID: "dialback_valid"}

IMPOSSIBLE = {("jabberd2", EXTERNAL): "jabberd2 2.7.0 knows no SASL EXTERNAL between servers"}

SHARDS = {  # worlds whose nodes have two shards each: by certificate, and by dialback
    ("prosody", "ejabberd", EXTERNAL), ("ejabberd", "prosody", DIALBACK)}

KILLS = {  # worlds in which processes are killed without --all
    ("prosody", "ejabberd", EXTERNAL), ("ejabberd", "prosody", DIALBACK),
    ("prosody", "jabberd2", DIALBACK_VALID)}


def name(inside, outside, proof):
    return f"{inside}-{outside}-{SHORT[proof]}"


def options(inside, outside, proof, direct=False):
    """The world of one cell."""
    if direct:
        return Options(inside=inside, outside=outside, proof=proof, direct=True)
    return Options(
        inside=inside, outside=outside, proof=proof,
        mapped=(proof != DIALBACK) if inside == "prosody" else (proof != EXTERNAL),
        trust="dialback" if (outside, proof) == ("prosody", DIALBACK_VALID) else "minted",
        smacks=("inside", "remote") if (outside, proof) == ("ejabberd", EXTERNAL) else ("remote",),
        shards=2 if (inside, outside, proof) in SHARDS else 1,
        server_ca=(outside, proof) != ("prosody", DIALBACK_VALID),
        # ejabberd 23.01 rejects EXTERNAL with a certificate that allows servers only, as public
        # CAs issue now; Prosody accepts it.
        eku=pki.EKU_BOTH if outside == "ejabberd" and proof == EXTERNAL else pki.EKU_SERVER)


ALL = [(i, o, p) for i in INSIDE for o in OUTSIDE for p in PROOFS]
