"""Python's poplib: CAPA, STLS, LIST, UIDL, TOP, RETR, DELE, RSET, and that only QUIT removes.

Arguments: POP3 port, POP3S port, CA file, login, password. The maildrop must have three messages or more.
"""

import poplib
import ssl
import sys

pop3, pop3s, ca, login, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)

client = poplib.POP3("localhost", int(pop3))
assert "USER" not in client.capa() and "SASL" not in client.capa(), client.capa()
try:
    client.user(login)
    raise SystemExit("USER in the clear was taken")
except poplib.error_proto as error:
    assert b"[AUTH]" in error.args[0], error
client.stls(context)
for capability in ("TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "USER", "SASL"):
    assert capability in client.capa(), (capability, client.capa())
client.user(login)
try:
    client.pass_("wrong")
    raise SystemExit("a wrong password was taken")
except poplib.error_proto as error:
    assert b"[AUTH]" in error.args[0], error
client.user(login)
client.pass_(password)

second = poplib.POP3_SSL("localhost", int(pop3s), context=context)
second.user(login)
try:
    second.pass_(password)
    raise SystemExit("two sessions have one maildrop")
except poplib.error_proto as error:
    assert b"[IN-USE]" in error.args[0], error
second.quit()

count, octets = client.stat()
assert count >= 3, count
sizes = [int(line.split()[1]) for line in client.list()[1]]
assert len(sizes) == count and sum(sizes) == octets
ids = [line.split()[1] for line in client.uidl()[1]]
assert len(set(ids)) == count
for number in range(1, count + 1):
    _, lines, _ = client.retr(number)
    message = b"".join(line + b"\r\n" for line in lines)
    assert len(message) == sizes[number - 1], (len(message), sizes[number - 1])
    _, top, _ = client.top(number, 0)
    assert message.startswith(b"".join(line + b"\r\n" for line in top))
client.dele(1)
client.rset()
client.dele(2)
client.close()  # without QUIT nothing is removed


def again():
    client = poplib.POP3_SSL("localhost", int(pop3s), context=context)
    client.user(login)
    client.pass_(password)
    return client


client = again()
assert client.stat() == (count, octets)
client.dele(2)
client.quit()
client = again()
assert client.stat() == (count - 1, octets - sizes[1])
assert [line.split()[1] for line in client.uidl()[1]] == ids[:1] + ids[2:]
client.quit()
