"""A CoAP endpoint on a plain socket that plays an LwM2M client, driven by tests/tests/interop_aiocoap. Messages are put
together and taken apart by aiocoap, but each is sent as the test wants it, also as no CoAP stack would.

    raw.py SERVER_PORT ENDPOINT

It registers, and prints one line for each message that it gets. A request is answered with the text "20.5" (in its
acknowledgement, unless told otherwise), or with 2.04 if it is a write. Lines on its input drive it:

    answer MANNER         how the next request is answered (`MANNERS`)
    notify KIND NUMBER VALUE   notifies of the last observation, by a "con" or "non" message; NUMBER may be "none"
    again                 sends the last notification again, byte for byte
    error KIND CODE       notifies with an error
    stray KIND TOKEN      sends a value that nobody has asked for
    move                  goes on from another port
"""

import asyncio
import random
import socket
import sys

import aiocoap
from aiocoap.numbers import ContentFormat
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import ACK, CON, NON, RST

LINKS = '</>;rt="oma.lwm2m",</1/0>,</3/0>,</3303/0>'


def say(line):
    print(line, flush=True)


class Device:
    def __init__(self, port, endpoint):
        self.server = ("127.0.0.1", port)
        self.endpoint = endpoint
        self.mid = random.randrange(1 << 16)
        self.manner = "piggybacked"
        self.observed = None
        self.last = None
        self.socket = None

    def move(self):
        loop = asyncio.get_running_loop()
        if self.socket is not None:
            loop.remove_reader(self.socket)
            # Not closed: an answer to the old port must not come back as an ICMP error.
            self.old = self.socket
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        loop.add_reader(self.socket, self.receive)

    def send(self, message):
        if message.mid is None:
            self.mid = (self.mid + 1) % (1 << 16)
            message.mid = self.mid
        datagram = message.encode()
        self.socket.sendto(datagram, self.server)
        return datagram

    def receive(self):
        message = aiocoap.Message.decode(self.socket.recv(65536))
        if message.code.is_request():
            return self.answer(message)
        kind = {ACK: "acknowledged", RST: "reset"}.get(message.mtype)
        if message.code == Code.EMPTY:
            return say(f"{kind} {message.mid}")
        say(f"registered {message.code.dotted}")

    def answer(self, request):
        path = "/" + "/".join(request.opt.uri_path)
        say(f"asked {request.code} {path} {request.opt.observe}")
        answer = value("20.5") if request.code == Code.GET else aiocoap.Message(code=Code.CHANGED)
        answer.token = request.token
        if request.opt.observe == 0:
            self.observed = request.token
            answer.opt.observe = 0
        manner, self.manner = self.manner, "piggybacked"
        MANNERS[manner](self, request, answer)

    def piggybacked(self, request, answer):
        """In the acknowledgement, as usual."""
        answer.mtype, answer.mid = ACK, request.mid
        self.send(answer)

    def non(self, request, answer):
        """In a NON message, without acknowledgement."""
        answer.mtype = NON
        self.send(answer)

    def unannounced(self, request, answer):
        """In a CON message, the acknowledgement having been lost."""
        answer.mtype = CON
        self.send(answer)

    def twice(self, request, answer):
        """Acknowledged, then in a CON message that comes twice."""
        self.send(aiocoap.Message(mtype=ACK, code=Code.EMPTY, mid=request.mid))
        self.unannounced(request, answer)
        self.send(answer)

    def mistaken(self, request, answer):
        """With a token that is not the request's; then right."""
        self.piggybacked(request, answer.copy(token=bytes(8), payload=b"-1.5"))
        self.piggybacked(request, answer)

    def overtaken(self, request, answer):
        """A notification comes first."""
        notification = value("99.5")
        notification.opt.observe = 9
        self.notify("con", notification)
        self.piggybacked(request, answer)

    def wary(self, request, answer):
        """Only when the request is repeated with the Echo option (RFC 9175)."""
        if request.opt.echo is None:
            self.manner = "wary"
            answer = aiocoap.Message(code=Code.UNAUTHORIZED, token=request.token, echo=b"fresh")
        else:
            say(f"echoed {request.opt.echo.decode()}")
        self.piggybacked(request, answer)

    def reset(self, request, answer):
        """Not at all."""
        self.send(aiocoap.Message(mtype=RST, code=Code.EMPTY, mid=request.mid))

    def notify(self, kind, message, token=None):
        message.mtype = {"con": CON, "non": NON}[kind]
        message.token = self.observed if token is None else token
        self.last = self.send(message)
        say(f"sent {message.mid}")

    def obey(self, command, *words):
        if command == "answer":
            self.manner = words[0]
            say(f"will answer {words[0]}")
        elif command == "notify":
            message = value(words[2])
            if words[1] != "none":
                message.opt.observe = int(words[1])
            self.notify(words[0], message)
        elif command == "again":
            self.socket.sendto(self.last, self.server)
        elif command == "error":
            big, small = words[1].split(".")
            self.notify(words[0], aiocoap.Message(code=Code(int(big) << 5 | int(small))))
        elif command == "stray":
            self.notify(words[0], value("0.5"), bytes.fromhex(words[1]))
        elif command == "move":
            self.move()
        else:
            say(f"unknown command {command}")


MANNERS = {
    manner.__name__: manner
    for manner in (
        Device.piggybacked,
        Device.non,
        Device.unannounced,
        Device.twice,
        Device.mistaken,
        Device.overtaken,
        Device.wary,
        Device.reset,
    )
}


def value(text):
    return aiocoap.Message(code=Code.CONTENT, payload=text.encode(), content_format=ContentFormat.TEXT)


async def main(port, endpoint):
    device = Device(port, endpoint)
    device.move()
    register = aiocoap.Message(mtype=CON, code=Code.POST, token=b"r", payload=LINKS.encode())
    register.opt.uri_path = ("rd",)
    register.opt.uri_query = (f"ep={endpoint}", "lwm2m=1.1", "lt=300", "b=U")
    register.opt.content_format = ContentFormat.LINKFORMAT
    device.send(register)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        device.obey(*line.decode().split())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
