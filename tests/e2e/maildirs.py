"""Maildir++ trees: made up as others write them, and read back."""

import collections
import hashlib
import os
import pathlib
import random

FOLDERS = ["", "", "", "", ".Sent", ".Archiv.2024", ".Entw&APw-rfe", ".Lists.r&AOk-seau.&U,BTFw-", ".v1&AC4-2"]
KEYWORDS = ["Junk", "$Label1", "NonJunk", "work/todo"]
WORDS = [w.encode() for w in ("quota store message folder receipt segment the of and to in is that it was for on are "
                              "Größe naïve 日本語 – déjà über").split()]

# What a message is, wherever it lies.
Mail = collections.namedtuple("Mail", "folder flags keywords arrival_us text")


def body(dice, size):
    lines = []
    while size > 0:
        line = b" ".join(dice.choices(WORDS, k=dice.randrange(1, 14)))
        lines.append(line)
        size -= len(line) + 1
    return b"\n".join(lines) + b"\n"


def letter(dice, number):
    """A message of 1 to 50 KB with LF line ends, as Dovecot keeps it; one in ten has something odd."""
    head = (f"From: sender{number}@example.net\nTo: alice@example.org\nSubject: Message {number}\n"
            f"Message-ID: <{number}.{dice.getrandbits(64):x}@example.net>\nDate: Thu, 26 Nov 2026 12:00:00 +0000\n\n")
    text = head.encode() + body(dice, int(1000 * 50 ** dice.random()))
    odd = dice.randrange(50)
    at = dice.randrange(len(head), len(text))
    if odd == 0:
        text = text[:at] + b"\r" + text[at:]  # A bare CR.
    elif odd == 1:
        text = text.replace(b"\n", b"\r\n")  # CRLF line ends,
    elif odd == 2:
        text = text.replace(b"\n", b"\r\n") + b"bare\nLF\n\nFrom here on\n"  # with bare LF.
    elif odd == 3:
        text = text[:at] + bytes(range(256)) + text[at:]  # NUL, 8 bit.
    elif odd == 4:
        text = text.rstrip(b"\n")  # No line end at the end.
    return text


def make(path, count, seed):
    """A tree of `count` messages, as Dovecot keeps one."""
    dice = random.Random(seed)
    path = pathlib.Path(path)
    for folder in {"", *FOLDERS}:
        for part in ("tmp", "new", "cur"):
            (path / folder / part).mkdir(parents=True, exist_ok=True)
        (path / folder / "dovecot-keywords").write_text("".join(f"{i} {k}\n" for i, k in enumerate(KEYWORDS)))
    for number in range(count):
        text = letter(dice, number)
        arrival = dice.randrange(1_100_000_000, 1_700_000_000) * 1_000_000 + dice.randrange(1_000_000)
        name = f"{arrival // 1_000_000}.M{number}P7.host,S={len(text)}"
        flags = "".join(f for f in "DFPRST" if dice.random() < (0.7 if f == "S" else 0.1))
        flags += "".join(k for k in "abcd" if dice.random() < 0.05)
        where = path / dice.choice(FOLDERS)
        file = where / "cur" / f"{name}:2,{flags}" if flags or dice.random() < 0.5 else where / "new" / name
        file.write_bytes(text)
        os.utime(file, ns=(arrival * 1000, arrival * 1000))


def with_crlf(octets):
    """LF -> CRLF, but for those behind a CR."""
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def text_of(octets):
    """The message of a file that others wrote, as `import` says."""
    first = octets.split(b"\n", 1)
    return with_crlf(octets) if len(first) == 2 and not first[0].endswith(b"\r") else octets


def exported_text(octets):
    """The message of a file that `export maildir` wrote."""
    return_path, delivered_to, rest = octets.split(b"\n", 2)
    assert return_path.startswith(b"Return-Path: <") and delivered_to.startswith(b"Delivered-To: ")
    return rest if delivered_to.endswith(b"\r") else rest.replace(b"\n", b"\r\n")


def files_of(path):
    """Every message's file below `path`."""
    return [p for part in ("new", "cur") for p in pathlib.Path(path).glob(f"**/{part}/*") if p.is_file()]


def read(path, text=text_of):
    """What is in a tree, by how often it is: Mail with a hash for its text."""
    path, mails, keywords = pathlib.Path(path), collections.Counter(), {}
    for file in files_of(path):
        folder = file.parents[1]
        if folder not in keywords:
            listed = folder / "dovecot-keywords"
            lines = listed.read_text().splitlines() if listed.exists() else []
            keywords[folder] = {chr(ord("a") + int(n)): k for n, k in (line.split(" ", 1) for line in lines)}
        letters = file.name.partition(":2,")[2]
        mails[Mail("" if folder == path else folder.name, "".join(c for c in letters if c.isupper()),
                   frozenset(keywords[folder][c] for c in letters if c.islower()),
                   file.stat().st_mtime_ns // 1000, hashlib.sha256(text(file.read_bytes())).hexdigest())] += 1
    return mails


def assert_same(one, other):
    """As == of two Counters, but with an error that people can read."""
    missing, more = one - other, other - one
    assert not missing and not more, (
        f"{sum(missing.values())} missing, {sum(more.values())} more, of {sum(one.values())}: "
        f"{next(iter(missing), None)} / {next(iter(more), None)}")
