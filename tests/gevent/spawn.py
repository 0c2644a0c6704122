import gevent

from flags import Flags, fails, tell_failures

arguments = Flags(unit=0.1)
arguments.count("greenlets", 2)
arguments.time("step", 1)
arguments.count("stride", 1)
arguments.count("x", 2)
arguments.limit("timeout", 0)
arguments.time("stay", 1)
arguments.count("fail-every", 0)
flags = arguments.parse()


class Greeter(gevent.Greenlet):
    def __init__(self, message, stay):
        super().__init__()
        self.message = message
        self.stay = stay

    def _run(self):
        print(self.message)
        gevent.sleep(self.stay)


def foo(message, delay, is_to_fail):
    gevent.sleep(delay)
    if is_to_fail:
        raise RuntimeError("no " + message)
    print(message)


everybody = []
for n in range(1, flags.greenlets + 1):
    text = {1: "Hello", 2: "I live!"}.get(n, "I am number %d" % n)
    place = (n - 1) * flags.stride % flags.greenlets + 1
    everybody.append(gevent.spawn(foo, text, place * flags.step, fails(flags.fail_every, n)))
result = gevent.spawn(lambda x: x + 1, flags.x)
everybody.append(result)
gevent.joinall(everybody, timeout=flags.timeout)
print(result.get())

greeter = Greeter("Hi there!", flags.stay)
greeter.start()
greeter.join()
tell_failures(everybody)
