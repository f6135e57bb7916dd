#!/usr/bin/env python3
"""Writes ../cases: what goes in, and the payloads that must come out.

The payloads are made by Google's protobuf from the published sparkplug_b.proto (as the package pysparkplug has it), by no line
of this translator. With --check, compares instead: `pip install pysparkplug && python3 tests/vectors.py --check`.
"""

import pathlib
import sys

from pysparkplug._protobuf.sparkplug_b_pb2 import Payload

INT64, UINT64, DOUBLE, BOOLEAN, STRING, DATETIME = 4, 8, 10, 11, 12, 13
FIELD = {INT64: "long_value", UINT64: "long_value", DOUBLE: "double_value", BOOLEAN: "boolean_value",
         STRING: "string_value", DATETIME: "long_value"}
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def alias(path):
    ids = [int(part) for part in path.split("/")]
    return ids[0] << 48 | ids[1] << 32 | ids[2] << 16 | (ids[3] + 1 if len(ids) > 3 else 0)


def metric(kind, value, second, name=None, path=None, data=False, historical=False):
    """One metric; as data has it: by its alias, without name and type."""
    of = Payload.Metric(timestamp=START + 1000 * second)
    if path is not None:
        of.alias = alias(path)
    if not data:
        of.datatype = kind
        of.name = name
    if historical:
        of.is_historical = True
    if value is None:
        of.is_null = True
    else:
        setattr(of, FIELD[kind], value)
    return of


def published(kind, node, seq, second, metrics=(), device=None, qos=0):
    """One expectation, with what is in it as a comment."""
    payload = Payload(timestamp=START + 1000 * second, metrics=metrics)
    if seq is not None:
        payload.seq = seq
    text = "".join(f"# {line}\n" for line in str(payload).splitlines())
    topic = f"spBv1.0/tidegate/{kind}/{node}" + (f"/{device}" if device else "")
    qos = f"qos = {qos}\n" if qos else ""
    return f'{text}[[step.publish]]\ntopic = "{topic}"\n{qos}hex = "{payload.SerializeToString(deterministic=True).hex()}"\n'


def time(second):
    return f'received = "2026-01-01T00:00:{second:02}Z"\n'


def bd_seq(location):
    hash = 0x811C9DC5
    for byte in location.encode():
        hash = (hash ^ byte) * 0x01000193 % 2**32
    return (hash ^ hash >> 16) % 256


def nbirth(node, bd, second, version="1.1", binding="U", lifetime=300, reboot=False, since=None, bare=False):
    since = second if since is None else since
    metrics = [metric(UINT64, bd, second, "bdSeq"), metric(BOOLEAN, False, second, "Node Control/Rebirth")]
    if not bare:
        metrics += [
            metric(STRING, version, since, "Properties/LwM2M Version"),
            metric(STRING, binding, since, "Properties/Binding"),
            metric(UINT64, lifetime, since, "Properties/Lifetime"),
        ]
    if reboot:
        metrics.append(metric(BOOLEAN, False, since, "Node Control/Reboot"))
    return published("NBIRTH", node, 0, second, metrics)


def ndeath(node, bd, second):
    return published("NDEATH", node, None, second, [metric(UINT64, bd, second, "bdSeq")], qos=1)


def uplink(node, cause, second, rest=""):
    return f'[[step]]\n[step.uplink]\nendpoint = "{node}"\ncause = "{cause}"\n{time(second)}{rest}'


def registration(links, location="/rd/x1Yz", lifetime=300, of="registration"):
    objects = ", ".join(f'"{link}"' for link in links)
    return f'{of} = {{ location = "{location}", lifetime = {lifetime}, binding = "U", objects = [{objects}] }}\n'


def observe(node, path):
    return f'[[step.perform]]\nendpoint = "{node}"\noperation = {{ observe = {{ path = "{path}" }} }}\n'


def read(node, path, context=""):
    context = f'context = "{context}"\n' if context else ""
    return f'[[step.perform]]\nendpoint = "{node}"\noperation = {{ read = {{ path = "{path}" }} }}\n{context}'


def session():
    node, bd = "urn:imei:001", bd_seq("/rd/x1Yz")
    yield "registration, values, changes and the end of a client"
    yield uplink(node, "registered", 0, registration(["/1/0", "/3303/0", "/3304/0"]))
    yield nbirth(node, bd, 0) + observe(node, "/3303/0") + observe(node, "/3304/0")
    yield uplink(node, "answered", 1, 'operation = "observe"\npath = "/3303/0"\nsamples = [{ path = "/3303/0/5700", float = 21.5 }, { path = "/3303/0/5701", text = "Cel" }]\n')
    temperature = dict(name="Sensor Value", path="3303/0/5700")
    unit = dict(name="Sensor Units", path="3303/0/5701")
    yield published("DBIRTH", node, 1, 1, [metric(DOUBLE, 21.5, 1, **temperature), metric(STRING, "Cel", 1, **unit)], "3303:0")
    yield uplink(node, "notified", 2, 'path = "/3303/0"\nsamples = [{ path = "/3303/0/5700", float = 22.0, taken = "2026-01-01T00:00:01Z" }, { path = "/3303/0/5700", float = 22.5 }]\n')
    yield published("DDATA", node, 2, 2, [
        metric(DOUBLE, 22.0, 1, **temperature, data=True, historical=True),
        metric(DOUBLE, 22.5, 2, **temperature, data=True)], "3303:0")
    yield uplink(node, "notified", 3, 'path = "/3303/0"\nsamples = [{ path = "/3303/0/5601", float = -1.0 }]\n')
    yield published("DBIRTH", node, 3, 3, [
        metric(DOUBLE, 22.5, 2, **temperature), metric(STRING, "Cel", 1, **unit),
        metric(DOUBLE, -1.0, 3, name="Min Measured Value", path="3303/0/5601")], "3303:0")
    yield uplink(node, "sent", 4, 'samples = [{ path = "/3304/0/5700", integer = -40 }, { path = "/3303/0/5701", text = "K" }, { path = "/1/0/1", integer = 60 }]\n')
    yield (published("DBIRTH", node, 4, 4, [metric(INT64, 2**64 - 40, 4, name="Sensor Value", path="3304/0/5700")], "3304:0")
           + published("DDATA", node, 5, 4, [metric(STRING, "K", 4, **unit, data=True)], "3303:0"))
    yield uplink(node, "updated", 5, registration(["/1/0", "/3304/0", "/3308/0"], lifetime=600) + "links_changed = true\n")
    yield (published("NDATA", node, 6, 5, [metric(UINT64, 600, 5, "Properties/Lifetime")])
           + published("DDEATH", node, 7, 5, device="3303:0") + observe(node, "/3308/0"))
    yield uplink(node, "updated", 6, registration(["/1/0", "/3304/0", "/3308/0"], lifetime=600))
    yield ""
    yield uplink(node, "ended", 7, registration(["/3304/0"]))
    yield ndeath(node, bd, 7)
    yield uplink(node, "registered", 8, registration([], "/rd/other"))
    yield nbirth(node, bd_seq("/rd/other"), 8)


def again():
    node, bd = "dev/1", bd_seq("/rd/a")
    yield "a client that registers again begins another session"
    yield uplink(node, "registered", 0, registration(["/3/0"], "/rd/a"))
    yield nbirth("dev%2F1", bd, 0, reboot=True) + observe(node, "/3/0")
    yield uplink(node, "registered", 1, registration(["/3/0"], "/rd/b") + registration(["/3/0"], "/rd/a", of="previous"))
    yield ndeath("dev%2F1", bd, 1) + nbirth("dev%2F1", (bd + 1) % 256, 1, reboot=True) + observe(node, "/3/0")
    yield uplink(node, "answered", 2, 'operation = "observe"\npath = "/3/0"\ncode = "4.05"\n')
    yield read(node, "/3/0")
    yield uplink(node, "answered", 3, 'operation = "read"\npath = "/3/0"\nsamples = [{ path = "/3/0/11/0", integer = 0 }, { path = "/3/0/13", time = 1767225600 }]\n')
    yield published("DBIRTH", "dev%2F1", 1, 3, [
        metric(INT64, 0, 3, name="Error Code/0", path="3/0/11/0"),
        metric(DATETIME, START, 3, name="Current Time", path="3/0/13")], "3:0")


def forgotten():
    node = "dev1"
    yield "a client whose state is lost is born again, as far as it is known"
    yield uplink(node, "notified", 0, 'path = "/3342/0"\nsamples = [{ path = "/3342/0/5500", boolean = true }]\n')
    yield (nbirth(node, 0, 0, bare=True)
           + published("DBIRTH", node, 1, 0, [metric(BOOLEAN, True, 0, name="Digital Input State", path="3342/0/5500")], "3342:0"))
    yield uplink("dev2", "updated", 0, registration(["/3342/0"]))
    yield nbirth("dev2", bd_seq("/rd/x1Yz"), 0) + read("dev2", "/3342/0")
    yield uplink("dev3", "ended", 0, registration(["/3342/0"]))
    yield ndeath("dev3", bd_seq("/rd/x1Yz"), 0)
    yield uplink("dev4", "registered", 0, registration([]) + registration([], "/rd/a", of="previous"))
    yield ndeath("dev4", bd_seq("/rd/a"), 0) + nbirth("dev4", (bd_seq("/rd/a") + 1) % 256, 0)


def command(topic, metrics):
    payload = Payload(timestamp=START, metrics=metrics).SerializeToString(deterministic=True)
    return f'[[step]]\n[step.downlink]\ntopic = "spBv1.0/tidegate/{topic}"\nhex = "{payload.hex()}"\n'


def rebirth():
    node, bd = "dev1", bd_seq("/rd/x1Yz")
    request = Payload.Metric(name="Node Control/Rebirth", datatype=BOOLEAN, boolean_value=True)
    temperature = dict(name="Sensor Value", path="3303/0/5700")
    births = lambda second: (nbirth(node, bd, second, since=0)
                             + published("DBIRTH", node, 1, second, [metric(DOUBLE, 21.5, 1, **temperature)], "3303:0"))
    told = 'context = "rebirth"\noperation = "read"\npath = "/3/0"\n'
    yield "a rebirth is made when the client answers, fails to, or is seen to sleep; once"
    yield uplink(node, "registered", 0, registration(["/3303/0"]))
    yield nbirth(node, bd, 0) + observe(node, "/3303/0")
    yield uplink(node, "answered", 1, 'operation = "observe"\npath = "/3303/0"\nsamples = [{ path = "/3303/0/5700", float = 21.5 }]\n')
    yield published("DBIRTH", node, 1, 1, [metric(DOUBLE, 21.5, 1, **temperature)], "3303:0")
    yield command("NCMD/dev1", [request])
    yield read(node, "/3/0", "rebirth")
    yield uplink(node, "answered", 2, told + 'code = "4.04"\n')
    yield births(2)
    yield uplink(node, "failed", 3, told + 'failure = "timeout"\n')
    yield births(3)
    yield uplink(node, "progressed", 4, told + 'stage = "queued"\n')
    yield births(4)
    yield uplink(node, "answered", 5, told + 'samples = [{ path = "/3303/0/5700", float = 23.0 }]\n')
    yield published("DDATA", node, 2, 5, [metric(DOUBLE, 23.0, 5, **temperature, data=True)], "3303:0")


def write():
    node, bd = "dev/1", bd_seq("/rd/x1Yz")
    dimmer = dict(name="Dimmer", path="3311/0/5851")
    yield "commands are written, and told as new values once the client has taken them"
    yield uplink(node, "registered", 0, registration(["/3311/0"]))
    yield nbirth("dev%2F1", bd, 0) + observe(node, "/3311/0")
    yield uplink(node, "answered", 1, 'operation = "observe"\npath = "/3311/0"\nsamples = [{ path = "/3311/0/5850", boolean = false }, { path = "/3311/0/5851", integer = 40 }]\n')
    yield published("DBIRTH", "dev%2F1", 1, 1, [
        metric(BOOLEAN, False, 1, name="On/Off", path="3311/0/5850"), metric(INT64, 40, 1, **dimmer)], "3311:0")
    by_alias = Payload.Metric(alias=alias("3311/0/5851"), datatype=INT64, long_value=75)
    by_name = Payload.Metric(name="On/Off", datatype=BOOLEAN, boolean_value=True)
    yield command("DCMD/dev%2F1/3311:0", [by_alias, by_name])

    def written(name, path, kind, value, text, of):
        context = Payload.Metric(name=name, alias=alias(path), datatype=kind)
        setattr(context, FIELD[kind], value)
        context = "written " + context.SerializeToString(deterministic=True).hex()
        sample = f'samples = [{{ path = "/{path}", {text}, kind = "{of}" }}]'
        return context, (f'[[step.perform]]\nendpoint = "{node}"\ncontext = "{context}"\n'
                         f'operation = {{ write = {{ path = "/{path}", {sample} }} }}\n')

    context, dim = written("Dimmer", "3311/0/5851", INT64, 75, "integer = 75", "integer")
    yield dim + written("On/Off", "3311/0/5850", BOOLEAN, True, "boolean = true", "boolean")[1]
    yield uplink(node, "answered", 2, f'operation = "write"\npath = "/3311/0/5851"\ncode = "2.04"\ncontext = "{context}"\n')
    yield published("DDATA", "dev%2F1", 2, 2, [metric(INT64, 75, 2, **dimmer, data=True)], "3311:0")
    yield command("NCMD/dev%2F1", [Payload.Metric(name="Node Control/Reboot", datatype=BOOLEAN, boolean_value=True)])
    yield f'[[step.perform]]\nendpoint = "{node}"\noperation = {{ execute = {{ path = "/3/0/4" }} }}\n'
    yield command("DCMD/dev%2F1/3303:0", [by_alias])
    yield '[step.expect]\nfault = "malformed"\ntext = "3303:0 has no metric"\n'


def main():
    folder = pathlib.Path(__file__).parent.parent / "cases"
    for case in [session, again, forgotten, rebirth, write]:
        name, *parts = case()
        text = f'# Written by tests/vectors.py.\nname = "{name}"\n\n' + "\n".join(part for part in parts if part)
        file = folder / f"{case.__name__}.toml"
        if "--check" not in sys.argv:
            file.write_text(text)
        elif file.read_text() != text:
            sys.exit(f"{file} is not what Google's protobuf makes of it")


main()
