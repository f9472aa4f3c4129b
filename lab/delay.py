#!/usr/bin/env python3
"""A wire that delays and loses packets, for kernels without netem: two TAP devices and this process between them.

usage: delay.py NEAR FAR [DELAY_MS [LOSS_PERCENT]]

Makes the devices in the namespace in which it runs, and passes on each Ethernet frame that one of them sends to the
other, DELAY_MS (200) later, in order; LOSS_PERCENT (5) of the frames are dropped. The devices end with the process. A
device may be moved to another namespace meanwhile. TAP and not a TCP relay: TCP itself shall meet the loss, and the
addresses of both ends stay as they are.
"""

import collections
import fcntl
import os
import random
import selectors
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_MAX = 1 << 16
QUEUE_MAX = 10_000  # frames in one direction; what is above is lost, as in a router


def tap(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


class Way:
    """One direction: the frames on their way, each with the time at which it arrives."""

    def __init__(self, source, target, delay_s, loss):
        self.source, self._target, self._delay, self._loss = source, target, delay_s, loss
        self._frames = collections.deque()

    def read(self):
        while True:
            try:
                frame = os.read(self.source, FRAME_MAX)
            except OSError:  # nothing more, or the device is down
                return
            if random.random() >= self._loss and len(self._frames) < QUEUE_MAX:
                self._frames.append((time.monotonic() + self._delay, frame))

    def deliver(self):
        """Passes on what has arrived; returns the seconds until the next frame arrives, or None."""
        while self._frames:
            left = self._frames[0][0] - time.monotonic()
            if left > 0:
                return left
            try:
                os.write(self._target, self._frames.popleft()[1])
            except OSError:  # the other device is down or full
                pass
        return None


def main(near, far, delay_ms=200, loss_percent=5):
    ends = tap(near), tap(far)
    ways = [Way(a, b, float(delay_ms) / 1000, float(loss_percent) / 100) for a, b in (ends, ends[::-1])]
    selector = selectors.DefaultSelector()
    for way in ways:
        selector.register(way.source, selectors.EVENT_READ, way)
    while True:
        waits = [wait for way in ways if (wait := way.deliver()) is not None]
        for key, _ in selector.select(min(waits) if waits else None):
            key.data.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
