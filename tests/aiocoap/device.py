"""A CoAP endpoint built on aiocoap that plays an LwM2M client, driven by tests/tests/interop_aiocoap.rs.

    device.py SERVER_PORT ENDPOINT

It registers block-wise with blocks of 32 bytes, serves /3/0/0 (at once), /3/0/1 (only when told, so by a separate
response), /3/0/2 (in several blocks) and /3303/0/5700 (observable), and prints one line for each thing that happens.
Lines on its input drive it: "answer" lets the pending read of /3/0/1 go, "notify VALUE" changes the temperature,
"send" sends a SenML JSON pack to /dp, "quit" deregisters and ends.
"""

import asyncio
import socket
import sys

import aiocoap
import aiocoap.resource
from aiocoap.numbers import ContentFormat

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

    async def render_get(self, request):
        say("asked /3/0/1")
        await self.released.wait()
        self.released.clear()
        return text("Slow device")


class Temperature(aiocoap.resource.ObservableResource):
    def __init__(self):
        super().__init__()
        self.value = "20.5"

    def update_observation_count(self, count):
        say(f"observers {count}")

    async def render_get(self, request):
        return text(self.value)


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
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        own_port = probe.getsockname()[1]
    context = await aiocoap.Context.create_server_context(site, bind=("::ffff:127.0.0.1", own_port), transports=["udp6"])
    location = await register(context, server, endpoint)
    async for command in commands():
        if command == "answer":
            slow.released.set()
        elif command.startswith("notify "):
            temperature.value = command.removeprefix("notify ")
            temperature.updated_state()
        elif command == "send":
            send = aiocoap.Message(code=aiocoap.POST, content_format=110, payload=b'[{"n":"/3303/0/5700","v":19.5}]')
            send.set_request_uri(f"{server}/dp")
            say(f"sent {(await context.request(send).response).code.dotted}")
        elif command == "quit":
            break
    bye = aiocoap.Message(code=aiocoap.DELETE, uri=f"{server}/{location}")
    say(f"deregistered {(await context.request(bye).response).code.dotted}")
    await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
