"""Python's imaplib: login, folders, append, search, flags, copy, expunge, and IDLE by hand.

Arguments: IMAP port, IMAPS port, CA file, login, password, a subject that must be in INBOX.
"""

import imaplib
import ssl
import sys
import time

imap, imaps, ca, login, password, subject = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


client = imaplib.IMAP4("localhost", int(imap))
assert "LOGINDISABLED" in client.capabilities, client.capabilities
try:
    client.login(login, password)
    raise SystemExit("a login in the clear was taken")
except imaplib.IMAP4.error as error:
    assert "PRIVACYREQUIRED" in str(error), error
ok(client.starttls(context))
ok(client.login(login, password))
assert int(ok(client.select("INBOX"))[0]) >= 1
found = ok(client.uid("SEARCH", None, "SUBJECT", '"%s"' % subject))[0].split()
assert found, "nothing found by subject"
fetched = ok(client.uid("FETCH", found[0], "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"))
assert subject.encode() in fetched[0], fetched
body = ok(client.uid("FETCH", found[0], "(BODY.PEEK[])"))[0][1]
assert body.replace(b"\r\n", b"").count(b"\n") == 0, "a bare LF in a message"
assert client.logout()[0] == "BYE"

with imaplib.IMAP4_SSL("localhost", int(imaps), ssl_context=context) as client:
    ok(client.login(login, password))
    folders = b"\n".join(ok(client.list()))
    for name in (b"INBOX", b"Drafts", b"Sent", b"Junk", b"Trash", b"Archive"):
        assert name in folders, folders
    ok(client.create("imaplib"))
    ok(client.subscribe("imaplib"))
    text = b"From: a@example.test\r\nSubject: appended\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    when = imaplib.Time2Internaldate(time.time())
    for number in range(3):
        ok(client.append("imaplib", r"(\Seen)" if number else None, when, text))
    assert int(ok(client.select("imaplib"))[0]) == 3
    assert ok(client.search(None, "UNSEEN"))[0] == b"1"
    assert ok(client.fetch("1", "(BODY.PEEK[])"))[0][1] == text
    ok(client.store("1:2", "+FLAGS", r"(\Flagged $Forwarded)"))
    assert ok(client.search(None, "FLAGGED", "KEYWORD", "$Forwarded"))[0] == b"1 2"
    ok(client.copy("1:2", "Archive"))
    ok(client.store("2", "+FLAGS", r"(\Deleted)"))
    assert ok(client.expunge()) == [b"2"]
    assert ok(client.status("Archive", "(MESSAGES UNSEEN)"))[0].endswith(b"(MESSAGES 2 UNSEEN 1)")
    ok(client.close())
    ok(client.rename("imaplib", "above/renamed"))
    assert b"above/renamed" in b"\n".join(ok(client.list()))
    ok(client.delete("above/renamed"))
