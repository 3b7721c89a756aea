"""A 25 MB attachment by submission, read by IMAP (whole and in parts) and POP3, equal by SHA-256.

Arguments: submissions port, IMAPS port, POP3S port, CA file, sender, recipient, password of both.
"""

import email
import hashlib
import imaplib
import poplib
import random
import smtplib
import ssl
import sys
from email.message import EmailMessage
from email.policy import SMTP

submissions, imaps, pop3s, ca, sender, recipient, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
content = random.Random(25).randbytes(25 * 1024 * 1024)
digest = hashlib.sha256(content).hexdigest()

message = EmailMessage(policy=SMTP)
message["From"], message["To"], message["Subject"] = sender, recipient, "25 MB"
message.set_content("see attachment\n")
message.add_attachment(content, maintype="application", subtype="octet-stream", filename="random.bin")
with smtplib.SMTP_SSL("localhost", int(submissions), context=context, timeout=300) as client:
    client.login(sender, password)
    assert client.send_message(message) == {}


def check(octets):
    parts = list(email.message_from_bytes(octets, policy=SMTP).iter_attachments())
    assert len(parts) == 1
    assert hashlib.sha256(parts[0].get_content()).hexdigest() == digest


with imaplib.IMAP4_SSL("localhost", int(imaps), ssl_context=context) as client:
    client.login(recipient, password)
    client.select("INBOX")
    whole = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
    check(whole)
    size = int(client.fetch("1", "(RFC822.SIZE)")[1][0].split()[-1].rstrip(b")"))
    assert size == len(whole), (size, len(whole))
    # As Apple Mail and many others read: piece by piece.
    pieces, step = [], 4 * 1024 * 1024
    for start in range(0, size, step):
        pieces.append(client.fetch("1", "(BODY.PEEK[]<%d.%d>)" % (start, step))[1][0][1])
    assert b"".join(pieces) == whole
    part = client.fetch("1", "(BODY.PEEK[2])")[1][0][1]
    import base64
    assert hashlib.sha256(base64.b64decode(part)).hexdigest() == digest

poplib._MAXLINE = 100000
client = poplib.POP3_SSL("localhost", int(pop3s), context=context, timeout=300)
client.user(recipient)
client.pass_(password)
check(b"\r\n".join(client.retr(1)[1]) + b"\r\n")
client.quit()
