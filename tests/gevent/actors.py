import gevent
from gevent.hub import LoopExit
from gevent.queue import Empty, Queue

from flags import Flags

arguments = Flags(unit=0.01)
arguments.count("pairs", 1)
arguments.count("messages", 4)
arguments.count("fail-at", 0)
arguments.time("pause", 0)
arguments.limit("timeout", 0)
flags = arguments.parse()


class Actor(gevent.Greenlet):
    def __init__(self):
        super().__init__()
        self.inbox = Queue()

    def receive(self, message):
        raise NotImplementedError

    def _run(self):
        try:
            while True:
                self.receive(self.inbox.get(timeout=flags.timeout))
        except Empty:
            print("Nobody writes any more")


class Pinger(Actor):
    heard = 0
    ponger = None

    def receive(self, message):
        print(message)
        self.heard += 1
        if self.heard == flags.fail_at:
            raise RuntimeError("The pinger has failed")
        if self.heard < flags.messages:
            self.ponger.inbox.put("ping")
        gevent.sleep(flags.pause)


class Ponger(Actor):
    pinger = None

    def receive(self, message):
        print(message)
        self.pinger.inbox.put("pong")
        gevent.sleep(flags.pause)


everybody = []
for _ in range(flags.pairs):
    ping, pong = Pinger(), Ponger()
    ping.ponger, pong.pinger = pong, ping
    ping.start()
    pong.start()
    ping.inbox.put("start")
    everybody += [ping, pong]
try:
    gevent.joinall(everybody)
except LoopExit as error:
    print(type(error).__name__, str(error).splitlines()[0])
for actor in everybody:
    if actor.ready() and not actor.successful():
        print(actor.exception)
