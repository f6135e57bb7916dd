"""A CoAP endpoint built on aiocoap that plays an LwM2M client, driven by tests/tests/interop_aiocoap.

    device.py SERVER_PORT ENDPOINT

It registers block-wise with blocks of 32 bytes, serves /3/0/0 (at once), /3/0/1 (only when told, so by a separate
response), /3/0/2 (in several blocks), /3303/0/5700 (observable) and the oddities below /31024 (`oddities`), and prints one
line for each thing that happens. Lines on its input drive it: "answer" lets the pending read of /3/0/1 go, "notify VALUE"
changes the temperature, "change PATH" a value below
/31024, "restless PATH COUNT" lets it change so many times more while it is read, "gone" ends the observations of the temperature with 4.04,
"send COUNT" sends a SenML JSON pack of so many
records to /dp, "quit" deregisters and ends.
"""

import asyncio
import re
import socket
import sys

import aiocoap
import aiocoap.resource
from aiocoap.numbers import ContentFormat
from aiocoap.optiontypes import BlockOption

LINKS = '</>;rt="oma.lwm2m";ct=110,</1/0>,</3/0>,</3303/0>,' + ",".join(f"</31024/{n}>" for n in range(10))
BLOCK_SIZE_EXPONENT = 1  # 2 ** (1 + 4) bytes


def say(line):
    print(line, flush=True)


def text(value):
    return aiocoap.Message(code=aiocoap.CONTENT, payload=value.encode(), content_format=ContentFormat.TEXT)


class Fixed(aiocoap.resource.Resource):
    def __init__(self, value):
        super().__init__()
        self.value = value

    async def render_get(self, request):
        return text(self.value)


class Slow(aiocoap.resource.Resource):
    """Answers when told; meanwhile the request is acknowledged with an empty message."""

    def __init__(self):
        super().__init__()
        self.released = asyncio.Event()

    async def wait(self, path):
        say(f"asked {path}")
        await self.released.wait()
        self.released.clear()

    async def render_get(self, request):
        await self.wait("/3/0/1")
        return text("Slow device")


class Temperature(aiocoap.resource.ObservableResource):
    def __init__(self):
        super().__init__()
        self.value = "20.5"

    def change(self, value):
        self.value = value
        self.updated_state()

    def update_observation_count(self, count):
        say(f"observers {count}")

    async def render_get(self, request):
        return text(self.value)


def numbers(length):
    """A text in which no two blocks are alike."""
    return "".join(f"{n:05}" for n in range(length // 5 + 1))[:length]


class Sliced(aiocoap.resource.ObservableResource):
    """A large text that takes itself apart, so that it can change between two blocks of a transfer.

    Each version of it has an ETag. When the second block of a version is asked for, `meanwhile` is called once for each
    of the `changes`; what it does happens before the answer."""

    def __init__(self, path, meanwhile, changes, exponents=(6,)):
        super().__init__()
        self.path, self.meanwhile, self.changes, self.exponents = path, meanwhile, changes, exponents
        self.version = 0

    async def needs_blockwise_assembly(self, request):
        return False

    def text(self):
        return f"version {self.version} " + numbers(3000)

    def change(self):
        self.version += 1
        self.updated_state()

    def update_observation_count(self, count):
        say(f"observers of {self.path} {count}")

    async def render_get(self, request):
        number, _, exponent = request.opt.block2 or (0, False, 6)
        say(f"asked {self.path} block {number} of {2 ** (exponent + 4)}")
        offset = number << (exponent + 4)
        if number > 0 and self.changes > 0:
            self.changes -= 1
            await self.meanwhile(self)
        exponent = min(exponent, self.exponents[0] if offset == 0 else self.exponents[-1])
        size = 2 ** (exponent + 4)
        payload = self.text().encode()
        answer = aiocoap.Message(code=aiocoap.CONTENT, payload=payload[offset:][:size], content_format=ContentFormat.TEXT)
        answer.opt.block2 = (offset // size, offset + size < len(payload), exponent)
        answer.opt.etag = bytes([self.version + 1])
        return answer


class Sink(aiocoap.resource.Resource):
    """Takes a text of `numbers`, whose blocks aiocoap has put together."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def take(self, payload):
        # Whatever the format says around it.
        text = max(re.findall("00000[0-9]*", payload.decode(errors="replace")), key=len, default="")
        say(f"written {self.path} {len(text)} {'whole' if text == numbers(len(text)) else 'mangled'}")
        return aiocoap.Message(code=aiocoap.CHANGED)

    async def render_put(self, request):
        return self.take(request.payload)


class Choosy(Sink):
    """Takes blocks by itself; `refuse` may answer one in its place."""

    def __init__(self, path, refuse):
        super().__init__(path)
        self.refuse = refuse
        self.body = b""
        self.seen = 0

    async def needs_blockwise_assembly(self, request):
        return False

    async def render_put(self, request):
        block = request.opt.block1
        self.seen += 1
        # What comes without a block option is like one large block.
        refusal = self.refuse(self, block or BlockOption.BlockwiseTuple(0, False, 6))
        if block is None:
            say(f"given {self.path} whole")
            return refusal or self.take(request.payload)
        say(f"given {self.path} block {block.block_number} of {block.size}")
        if refusal is not None and not refusal.code.is_successful():
            return refusal
        offset = block.block_number * block.size
        if offset > len(self.body):
            return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_INCOMPLETE)
        self.body = self.body[:offset] + request.payload
        if not block.more:
            answer = self.take(self.body)
            answer.opt.block1 = block
            return answer
        return refusal or aiocoap.Message(code=aiocoap.CONTINUE, block1=block)


def forgetful(sink, block):
    if block.block_number == 3 and sink.seen == 4:
        return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_INCOMPLETE)


def amnesiac(sink, block):
    if block.block_number == 3:
        return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_INCOMPLETE)


def picky(sink, block):
    if block.size > 64:
        return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE, block1=(block.block_number, block.more, 2))


def frugal(sink, block):
    if block.size > 32:
        return aiocoap.Message(code=aiocoap.CONTINUE, block1=(block.block_number, block.more, 1))


def full(sink, block):
    if block.block_number == 2:
        return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE)


def oddities(temperature, slow):
    """What there is below /31024, and what is odd about it."""

    async def change(sliced):
        sliced.change()

    async def warm(sliced):
        temperature.change("33.5")

    async def wait(sliced):
        await slow.wait(sliced.path)

    return [
        Sliced("/31024/0/0", change, 1),  # changes once during a read
        Sliced("/31024/0/1", change, 1000),  # changes whenever it is read
        Sliced("/31024/0/2", change, 0, (6, 2)),  # goes on in smaller blocks
        Sliced("/31024/0/3", warm, 1),  # a notification of something else comes between its blocks
        Sliced("/31024/0/4", wait, 1),  # its second block comes when told
        Sliced("/31024/0/5", change, 0),
        Choosy("/31024/1/0", forgetful),  # loses the blocks it has, once
        Choosy("/31024/1/1", amnesiac),  # loses them each time
        Choosy("/31024/1/2", picky),  # wants blocks of 64 bytes
        Choosy("/31024/1/3", frugal),  # takes the first block, and wants the others in 32 bytes
        Choosy("/31024/1/4", full),  # takes no more than two blocks
        Sink("/31024/1/5"),
    ]


async def register(context, server, endpoint):
    register = aiocoap.Message(code=aiocoap.POST, payload=LINKS.encode(), content_format=ContentFormat.LINKFORMAT)
    register.set_request_uri(f"{server}/rd?ep={endpoint}&lwm2m=1.1&lt=300&b=U")
    await context.find_remote_and_interface(register)
    register.remote.maximum_block_size_exp = BLOCK_SIZE_EXPONENT
    answer = await context.request(register).response
    if not answer.code.is_successful():
        raise SystemExit(f"registration refused: {answer.code} {answer.payload!r}")
    say(f"registered {answer.code.dotted}")
    return "/".join(answer.opt.location_path)


async def commands():
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def main(port, endpoint):
    server = f"coap://127.0.0.1:{port}"
    slow, temperature = Slow(), Temperature()
    site = aiocoap.resource.Site()
    site.add_resource(["3", "0", "0"], Fixed("Tidegate"))
    site.add_resource(["3", "0", "1"], slow)
    site.add_resource(["3", "0", "2"], Fixed("0123456789" * 300))
    site.add_resource(["3303", "0", "5700"], temperature)
    odd = {resource.path: resource for resource in oddities(temperature, slow)}
    for path, resource in odd.items():
        site.add_resource(path.strip("/").split("/"), resource)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        own_port = probe.getsockname()[1]
    context = await aiocoap.Context.create_server_context(site, bind=("::ffff:127.0.0.1", own_port), transports=["udp6"])
    location = await register(context, server, endpoint)
    async for command in commands():
        if command == "answer":
            slow.released.set()
        elif command.startswith("notify "):
            temperature.change(command.removeprefix("notify "))
        elif command == "gone":
            temperature.updated_state(aiocoap.Message(code=aiocoap.NOT_FOUND))
        elif command.startswith("change "):
            odd[command.removeprefix("change ")].change()
        elif command.startswith("restless "):
            _, path, count = command.split()
            odd[path].changes = int(count)
        elif command.startswith("send "):
            count = int(command.removeprefix("send "))
            pack = ",".join(f'{{"n":"/3303/{n}/5700","v":{n}.5}}' for n in range(count))
            send = aiocoap.Message(code=aiocoap.POST, content_format=110, payload=f"[{pack}]".encode())
            send.set_request_uri(f"{server}/dp")
            say(f"sent {(await context.request(send).response).code.dotted}")
        elif command == "quit":
            break
    bye = aiocoap.Message(code=aiocoap.DELETE, uri=f"{server}/{location}")
    say(f"deregistered {(await context.request(bye).response).code.dotted}")
    await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
