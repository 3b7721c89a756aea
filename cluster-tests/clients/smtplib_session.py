"""Python's smtplib on submission: STARTTLS and TLS, AUTH, several recipients, 8-bit and SMTPUTF8.

Arguments: submission port, submissions port, CA file, login, password, recipient.
"""

import smtplib
import ssl
import sys
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

submission, submissions, ca, login, password, recipient = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)


def message(subject):
    text = EmailMessage(policy=SMTP)
    text["From"] = login
    text["To"] = recipient
    text["Subject"] = subject
    text.set_content("Grüße\n.a line that begins with a dot\n.\nthe end\n", cte="8bit")
    text.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream", filename="all.bin")
    return text


with smtplib.SMTP("localhost", int(submission)) as client:
    client.ehlo()
    assert not client.has_extn("auth"), "AUTH is offered in the clear"
    try:
        client.sendmail(login, [recipient], b"Subject: no\r\n\r\nno\r\n")
        raise SystemExit("submission without authentication was taken")
    except smtplib.SMTPException:
        pass

with smtplib.SMTP("localhost", int(submission)) as client:
    client.starttls(context=context)
    client.ehlo()
    for extension in ("size", "pipelining", "8bitmime", "smtputf8", "chunking", "dsn", "enhancedstatuscodes"):
        assert client.has_extn(extension), extension
    try:
        client.login(login, "wrong")
        raise SystemExit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    client.login(login, password)
    assert client.send_message(message("smtplib over STARTTLS")) == {}
    # One of two recipients is refused; the other gets the message.
    domain = login.split("@")[1]
    refused = client.send_message(message("smtplib, one of two"), to_addrs=[recipient, "nobody@" + domain])
    assert list(refused) == ["nobody@" + domain] and refused["nobody@" + domain][0] == 550, refused
    try:
        client.sendmail("somebody-else@" + domain, [recipient], b"Subject: forged\r\n\r\nforged\r\n")
        raise SystemExit("another's envelope sender was taken")
    except (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused):
        pass

with smtplib.SMTP_SSL("localhost", int(submissions), context=context) as client:
    client.login(login, password)
    international = message("smtplib über TLS").as_bytes(policy=SMTPUTF8)
    assert client.sendmail(login, [recipient], international, mail_options=["SMTPUTF8", "BODY=8BITMIME"]) == {}
