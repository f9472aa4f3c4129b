"""How long the users of a server that cannot be reached stay in a room on the other side of the gateway."""

import datetime
import time

from .room import GHOST_S, OTHER

NOTICE_S = 180  # a silent leg is declared dead after 9 s (the link) or 25 s, a ping and an attempt to connect (a server)
BACK_S = 180  # servers that tried meanwhile wait for the next attempt of their TCP


def declared_dead(log, since):
    """When the core first said that it had lost a peer or the link, in seconds of the epoch; None if it did not."""
    with open(log, errors="replace") as lines:
        for line in lines:
            words = line.split()
            if len(words) > 2 and (words[2] in ("peer.lost", "internal-server.lost") or "code=link.dead" in words):
                when = datetime.datetime.fromisoformat(words[0].replace("Z", "+00:00")).timestamp()
                if when >= since:
                    return when
    return None


def outage(world, room, host):
    """Disconnects a host until the room has lost the occupants of the other side, or should have."""
    far = {o.nick for o in room.occupants.values() if o.side == OTHER[room.host]}
    begin, gone, dead = time.time(), None, None
    world.network.cut(host)
    while gone is None and time.time() < (dead or begin + NOTICE_S) + GHOST_S:
        time.sleep(0.5)
        dead = dead or declared_dead(world.gateway.core.log, begin)
        listed = room.nicks()
        if listed is not None and not listed & far:
            gone = time.time()
    cut_s = time.time() - begin
    world.network.mend(host)
    mended = time.time()
    ghosts, unaware, _ = room.settle(BACK_S)
    while not ghosts and not all(o.present for o in room.occupants.values()) and time.time() < mended + BACK_S:
        time.sleep(0.5)
    back = all(o.present for o in room.occupants.values())
    return {
        "host": host, "cut_s": round(cut_s, 1), "declared_dead_s": dead and round(dead - begin, 1),
        "gone_s": gone and round(gone - begin, 1), "ghost_s": gone and dead and round(max(0, gone - dead), 1),
        "all_back_s": round(time.time() - mended, 1) if back else None, "ghosts": ghosts, "unaware": unaware,
    }


def faultless(result):
    """Whether the room lost the occupants in time, and all of them came back."""
    return (result["ghost_s"] is not None and result["ghost_s"] <= GHOST_S and result["all_back_s"] is not None
            and not result["ghosts"] and not result["unaware"])


def table(result):
    yield (f"{result['host']} disconnected for {result['cut_s']} s: declared dead after {result['declared_dead_s']} s, its "
           f"occupants gone after {result['gone_s']} s (ghosts for {result['ghost_s']} s), all back "
           f"{result['all_back_s']} s after the end; ghosts: {result['ghosts']}; unaware: {result['unaware']}")
