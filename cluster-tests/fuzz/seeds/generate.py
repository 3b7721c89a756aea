#!/usr/bin/env python3
"""Writes what fuzzing starts from: generate.py FOLDER. The dialogues are the clients' lines of the transcripts that
the packages are tested with, behind the octets of settings that the targets read first; messages are those beside
this file; the rest is noise of a fixed seed."""

import random
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOUSE = HERE.parent.parent.parent
ESCAPES = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"\\": b"\\"}
SERVERS = (
    "220 hi|250-x|250-PIPELINING|250-SIZE 100|250 DSN|250 ok|250 ok|354 go|250 taken|221 bye",
    "220 hi|502 what|250 hi|250 ok|550 5.1.1 no|250 ok|354 go|250 taken|250 reset|451 later|221 bye",
    "220 hi|250-x|250 STARTTLS|220 go|250 x|421 4.3.2 closing",
)


def client_lines(transcript):
    """What the client of a transcript sends; `C+` and `c` are lines with escapes and without an end of their own."""
    wire = b""
    for line in transcript.read_text().splitlines():
        found = re.match(r"([Cc])(\+?): ?(.*)$", line)
        if found:
            wire += re.sub(rb"\\([rn0\\])", lambda escape: ESCAPES[escape[1]], found[3].encode())
            wire += b"" if found[1] == "c" or found[2] else b"\r\n"
    return wire


class Seeds:
    """Numbers the seeds of each target."""

    def __init__(self, folder):
        self.folder = folder
        self.numbers = {}

    def add(self, target, settings, octets):
        number = self.numbers[target] = self.numbers.get(target, 0) + 1
        path = self.folder / target / f"{number:04}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(settings) + octets)


def dialogues(seeds):
    for path in sorted(HOUSE.glob("gateway/tests/transcripts/smtp/*.txt")):
        for role in range(3):
            # Under TLS from the start, where AUTH is; and without, where the policy says no at times.
            seeds.add("smtp", (role, 0x0F, 3), client_lines(path))
            seeds.add("smtp", (role, 0xA6, 9), client_lines(path))
    for replies in SERVERS:
        for policy in (0, 0x1C, 0x3D, 0x26):
            seeds.add("smtp", (3, policy, 5), replies.replace("|", "\r\n").encode() + b"\r\n")
    for path in sorted(HOUSE.glob("node/tests/transcripts/imap/*.txt")):
        for mode in (0, 1):
            seeds.add("imap", (mode, 3), client_lines(path))
        for settings in (0x04, 0x03, 0x0D):
            seeds.add("session", (settings,), client_lines(path))
    for path in sorted(HOUSE.glob("node/tests/transcripts/pop3/*.txt")):
        for settings in (0x03, 0x06, 0x4B):
            seeds.add("pop3", (settings, 3), client_lines(path))


def messages(seeds):
    for path in sorted(HERE.glob("*.eml")):
        message = path.read_bytes().replace(b"\n", b"\r\n")
        seeds.add("message", (3, 128), message)
        seeds.add("imap", (6, 3), message)
    for name in ("&U,BTFw-/&ZeVnLIqe-", "INBOX", "gr\u00fcn", '" 7-Feb-1994 22:43:04 -0800"', "1-Feb-1994"):
        seeds.add("imap", (7, 3), name.encode())


def noise(seeds):
    source = random.Random(1)
    for number in range(64):
        octets = (source.choice((0, 1, 2, 65, source.randrange(256))) for _ in range(80))
        seeds.add("records", (number, 1), bytes(octets))
        octets = (source.choice((0, 0, source.randrange(256))) for _ in range(source.randrange(400)))
        seeds.add("log", (), bytes(octets))


if __name__ == "__main__":
    all_seeds = Seeds(Path(sys.argv[1]))
    dialogues(all_seeds)
    messages(all_seeds)
    noise(all_seeds)
