"""An application written for EMQX, driven by tests/tests/interop_emqxlwm2m.rs: the package emqxlwm2m and its own API.

    driver.py BROKER_PORT ENDPOINT

Each line on its input is a number, a word and JSON arguments, and is answered by one line of JSON with that number:
what emqxlwm2m's objects say after it has parsed what came. Registrations, updates and notifications are printed by
themselves, each with the name of emqxlwm2m's class as "event". What emqxlwm2m logs goes to the error output.
"""

import enum
import json
import logging
import queue
import sys
import threading

from emqxlwm2m import NoResponseError, ResponseError, utils
from emqxlwm2m.engines.emqx import EMQxEngine
from emqxlwm2m.lwm2m import Attributes, Notification, Registration, Update
from emqxlwm2m.oma import Device

PATIENCE = 15  # seconds, for an answer
printing = threading.Lock()


def say(what):
    with printing:
        print(json.dumps(what), flush=True)


def plain(value):
    """A value as JSON has it; a name where emqxlwm2m made an enumeration of it."""
    return value.name if isinstance(value, enum.Enum) else value


def answer(response):
    said = {"class": type(response).__name__, "code": response.code.value, "path": str(response.req_path)}
    if hasattr(response, "data"):
        said["data"] = {str(path): plain(value) for path, value in response.data.items()}
    try:
        response.check()
    except ResponseError:
        said["refused"] = True
    return said


def event(message):
    said = {"event": type(message).__name__}
    if isinstance(message, Notification):
        said |= answer(message) | {"number": message.seq_num}
    elif isinstance(message, (Registration, Update)):
        said |= {
            "lifetime": message.lt,
            "version": message.lwm2m,
            "binding": message.b,
            "alternate": message.alternate_path,
            "objects": message.object_list,
        }
    return said


def print_from(messages, **also):
    """Print what comes into a queue; by subpub's bare queues it comes as a pair with the matched topic."""

    def run():
        while True:
            item = messages.get()
            say(event(item[1] if isinstance(item, tuple) else item) | also)

    threading.Thread(target=run, daemon=True).start()


class Application:
    def __init__(self, endpoint):
        self.endpoint = endpoint

    def read(self, path):
        return answer(self.endpoint.read(path))

    def read_device(self, name):
        """By the class that emqxlwm2m made of the object's definition."""
        return answer(getattr(self.endpoint[Device][0], name).read())

    def write(self, path, value):
        return answer(self.endpoint.write(path, value))

    def write_attributes(self, path, attributes):
        """Of the text that emqxlwm2m's command line takes: [pmin,pmax]lt:st:gt."""
        return answer(self.endpoint.write_attr(path, **dict(Attributes.from_string(attributes))))

    def discover(self, path):
        return answer(self.endpoint.discover(path))

    def execute(self, path, arguments=""):
        return answer(self.endpoint.execute(path, arguments))

    def create(self, path, values):
        return answer(self.endpoint.create(path, values))

    def delete(self, path):
        return answer(self.endpoint.delete(path))

    def observe(self, path):
        response = self.endpoint.observe(path)
        # Their own queue: filled by the reqID that is repeated in each notification.
        print_from(response.notifications, observation=path)
        return answer(response)

    def cancel(self, path):
        return answer(self.endpoint.cancel_observe(path))

    def trigger_update(self):
        return event(utils.trigger_update(self.endpoint, timeout=PATIENCE))

    def reboot(self):
        utils.reboot(self.endpoint)
        return {"class": "reboot"}


def main(port, name):
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    engine = EMQxEngine.via_mqtt(host="127.0.0.1", port=port)
    subscribed = threading.Event()
    engine.client.on_subscribe = lambda *_: subscribed.set()
    with engine:
        endpoint = engine.endpoint(name, timeout=PATIENCE)
        print_from(endpoint.events())
        subscribed.wait(PATIENCE)
        say({"event": "subscribed"})
        application = Application(endpoint)
        for line in sys.stdin:
            number, word, arguments = line.split(" ", 2)
            try:
                said = getattr(application, word)(*json.loads(arguments))
            except (NoResponseError, queue.Empty):
                said = {"class": "NoResponseError"}
            say({"number of line": int(number)} | said)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
