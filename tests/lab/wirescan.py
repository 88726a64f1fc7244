"""Looks for flows in what was captured on a wire that must not show any.

What is searched is what TCP and UDP carried, put together again, so that nothing hides on the
border of two segments. Ciphertext holds every short string now and then; with B bytes of it,
n patterns of b bits are expected n * B / 2^b times. So there are two kinds of forms:

  strict   40 bits and more: expected less than once in a thousand runs. One find is a leak:
           an IPv6 address; two IPv4 addresses, or an address and a port of one flow, side
           by side; an address or port as text.
  counted  mostly 32 bits and less: an IPv4 address alone; two ports side by side, or as
           varints with one byte of a tag between them; one port alone.
           A leak shows one per flow, which are hundreds; chance shows what as many ports
           that no flow has show as well (the controls; for addresses: n * B / 2^32). More
           finds than chance gives once in a million runs are a leak.

Byte orders: network and host (x86). Order of the two parts: both.
"""
import collections
import dataclasses
import ipaddress
import math
import random
import re
import struct

CONTROLS = 10  # random sets of ports, each as large as the real one
CHANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Tuple:
    """One direction of a flow."""
    src: str
    dst: str
    sport: int
    dport: int


def tuples_of(listing):
    """The TCP and UDP tuples, both directions, of the output of `conntrack -L`."""
    found = set()
    for match in re.finditer(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)", listing):
        found.add(Tuple(match[1], match[2], int(match[3]), int(match[4])))
    return found


# --- the capture -----------------------------------------------------------------------


def frames(path):
    """The frames of a pcap file with microseconds."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    at = 24
    while at + 16 <= len(data):
        length = int.from_bytes(data[at + 8:at + 12], "little")
        yield data[at + 16:at + 16 + length]
        at += 16 + length


@dataclasses.dataclass
class Capture:
    tcp: list    # one byte string per direction of a connection
    udp: list    # one per datagram
    other: list  # frames that are neither, without their Ethernet header

    def texts(self):
        return self.tcp + self.udp + self.other


def read_capture(path, hosts):
    """`hosts`: whose IPv4 packets may be there; those of others are `other`, headers and
    all."""
    segments, udp, other = {}, [], []
    for frame in frames(path):
        packet = frame[14:]
        ends = packet[12:20]
        if frame[12:14] != b"\x08\x00" or packet[9] not in (6, 17) or \
                {str(ipaddress.ip_address(ends[:4])), str(ipaddress.ip_address(ends[4:]))} \
                != set(hosts):
            other.append(packet)
            continue
        body = packet[(packet[0] & 15) * 4:int.from_bytes(packet[2:4], "big")]
        if packet[9] == 17:
            udp.append(body[8:])
            continue
        text = body[(body[12] >> 4) * 4:]
        if text:
            sequence = int.from_bytes(body[4:8], "big")
            segments.setdefault((ends, body[:4]), {})[sequence] = text
    return Capture([stream_of(s) for s in segments.values()], udp, other)


def stream_of(segments):
    """One direction of a connection; a gap in it becomes nothing."""
    first = next(iter(segments))
    text, end = bytearray(), None
    for ahead, part in sorted((((s - first + 2**31) % 2**32) - 2**31, p)
                              for s, p in segments.items()):
        if end is not None and ahead < end:
            part = part[end - ahead:]  # sent again
        text += part
        end = max(end or ahead, ahead + len(part))
    return bytes(text)


# --- what a flow can look like ---------------------------------------------------------


def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes([*out, value])


def packed(address):
    return ipaddress.ip_address(address).packed


def is_v4(address):
    return ":" not in address


def pairs(a, b):
    return {a + b, b + a}


def both_orders(a, b):
    """a beside b, in network order and in host order."""
    return pairs(a, b) | pairs(a[::-1], b[::-1])


def be16(port):
    return struct.pack(">H", port)


def strict_forms(tuples):
    """{name of the form: patterns}. A pattern is (length before a gap of one byte, bytes); a
    length of 0 is no gap."""
    addresses = {a for t in tuples for a in (t.src, t.dst)}
    ports = {p for t in tuples for p in (t.sport, t.dport)}
    v6 = {packed(a) for a in addresses if not is_v4(a)}
    v4 = {t for t in tuples if is_v4(t.src)}
    v4_ends = {(a, p) for t in v4 for a, p in ((t.src, t.sport), (t.dst, t.dport),
                                               (t.src, t.dport), (t.dst, t.sport))}
    found = {
        "IPv6 address": v6 | {a[::-1] for a in v6},
        "IPv6 address, words in host order": {
            struct.pack("<4I", *struct.unpack(">4I", a)) for a in v6},
        "address as text": {a.encode() for a in addresses},
        "IPv4 address as varint": {varint(int(ipaddress.ip_address(a)))
                                   for a in addresses if is_v4(a)},
        "two IPv4 addresses": set().union(*(
            both_orders(packed(t.src), packed(t.dst)) for t in v4)),
        "IPv4 address and port": set().union(*(
            both_orders(packed(a), be16(p)) for a, p in v4_ends)),
        "port as text": {str(p).encode() for p in ports if p > 9999},
    }
    return {name: {(0, p) for p in patterns} for name, patterns in found.items()}


def counted_forms(tuples):
    return {
        "two ports": {(0, p) for t in tuples
                      for p in both_orders(be16(t.sport), be16(t.dport))},
        "two ports as varints": {
            (len(varint(a)), varint(a) + varint(b)) for t in tuples
            for a, b in ((t.sport, t.dport), (t.dport, t.sport))},
        "one port": {(0, p) for t in tuples for port in (t.sport, t.dport)
                     if is_ephemeral(port) for p in (be16(port), be16(port)[::-1])},
    }


def is_ephemeral(port):
    """Those that a kernel chooses: many different ones, and a set of them can be drawn."""
    return 32768 <= port <= 60999


def control_of(tuples, rng):
    """As many tuples with ports that no flow has, where a port is one of many."""
    used = {p for t in tuples for p in (t.sport, t.dport)}
    drawn = {}

    def other(port):
        if is_ephemeral(port) and port not in drawn:
            drawn[port] = rng.choice([p for p in range(32768, 61000) if p not in used])
            used.add(drawn[port])
        return drawn.get(port, port)

    return {dataclasses.replace(t, sport=other(t.sport), dport=other(t.dport))
            for t in sorted(tuples, key=dataclasses.astuple)}


# --- the search ------------------------------------------------------------------------


def tally(texts, patterns):
    """How often each of the patterns stands in the texts, as a Counter."""
    shapes = {}
    for gap_at, pattern in patterns:
        shapes.setdefault((gap_at, len(pattern)), set()).add(pattern)
    found = collections.Counter()
    for (gap_at, length), wanted in shapes.items():
        for text in texts:
            if gap_at == 0:
                windows = (text[i:i + length] for i in range(len(text) - length + 1))
            else:
                windows = (text[i:i + gap_at] + text[i + gap_at + 1:i + length + 1]
                           for i in range(len(text) - length))
            found.update((gap_at, w) for w in windows if w in wanted)
    return found


def limit(expected):
    """The smallest count that chance exceeds less than once in a million times (Poisson)."""
    if expected > 50:  # normal, and the controls deviate too
        return expected + 5 * math.sqrt(expected * (1 + 1 / CONTROLS))
    k, term = 0, math.exp(-expected)
    beyond = 1 - term
    while beyond > CHANCE:
        k += 1
        term *= expected / k
        beyond -= term
    return k


@dataclasses.dataclass
class Count:
    """What one form gave: `bound` is the most that is put down to chance."""
    form: str
    hits: float
    expected: float
    bound: float
    leak: int  # what there would be more if each flow stood there once

    def is_leak(self):
        return self.hits > self.bound


class Scan:
    """The forms of some flows, ready to be searched for in any number of texts."""

    # ways in which the counted forms write one tuple, each a pattern
    WAYS = {"two ports": 4, "two ports as varints": 2, "one port": 2}

    def __init__(self, tuples, seed=1):
        rng = random.Random(seed)
        self.strict = strict_forms(tuples)
        self.counted = counted_forms(tuples)
        self.addresses = {(0, p) for t in tuples for a in (t.src, t.dst) if is_v4(a)
                          for p in (packed(a), packed(a)[::-1])}
        self.v4_count = sum(is_v4(t.src) for t in tuples)
        self.controls = [counted_forms(control_of(tuples, rng)) for _ in range(CONTROLS)]
        self.all = self.addresses.union(*self.strict.values(), *(
            patterns for forms in [self.counted, *self.controls]
            for patterns in forms.values()))

    def run(self, texts):
        found = tally(texts, self.all)
        size = sum(len(t) for t in texts)

        def hits(patterns):
            # What frames the ciphertext stands there in clear some hundred times: a length
            # before a name can equal a port. A leak is many patterns, not one many times.
            return sum(min(found[p], 8 + 2 * size / 2**(8 * len(p[1]))) for p in patterns)

        counts = [Count(form, hits(patterns), 0, 0, 1)
                  for form, patterns in self.strict.items()]
        by_chance = len(self.addresses) * size / 2**32
        counts.append(Count("IPv4 address", hits(self.addresses), by_chance,
                            limit(by_chance), self.v4_count))
        for form, patterns in self.counted.items():
            # a rare find is rarer among the controls: never less than what the bits say
            by_chance = max(sum(size / 2**(8 * len(p)) for _, p in patterns),
                            sum(hits(c[form]) for c in self.controls) / CONTROLS)
            counts.append(Count(form, hits(patterns), by_chance, limit(by_chance),
                                len(patterns) // self.WAYS[form]))
        return counts
