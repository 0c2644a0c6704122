"""Foreign clients against the chat server: a crash that nobody is disconnected by, clients that vanish
in the middle of a line, and an orderly end. The server's word is not taken: /proc tells."""

import os
import re
import signal
import socket
import subprocess
import sys
import time


class Client:
    def __init__(self, port, nick=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.buffer = b""
        if nick:
            self.say("/nick " + nick)

    def say(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def hear(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def hear_until(self, pattern):
        while True:
            line = self.hear()
            assert line is not None, "disconnected before " + pattern
            found = re.search(pattern, line)
            if found:
                return found


def status(pid, key):
    with open("/proc/%d/status" % pid) as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise KeyError(key)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def actors(port):
    client = Client(port)
    client.say("/stats")
    count = int(client.hear_until(r"actors=(\d+) fds=\d+ restarts=\d+").group(1))
    client.say("/quit")
    assert client.hear() is None
    return count


def wait_for(condition, what):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("in vain: " + what)


def crash(port):
    first, second = Client(port, "first"), Client(port, "second")
    for client in (first, second):
        client.say("/join lobby")
        client.hear_until(r"^\* lobby joined " + ("first" if client is first else "second"))
    second.say("/who")
    before = second.hear_until(r"who (<[\d.]+>)").group(1)
    first.say("/crash")
    for client in (first, second):
        after = client.hear_until(r"^\* lobby restarted (<[\d.]+>)").group(1)
        assert before != after, "the room still is " + before
    second.say("still here")
    for client in (first, second):
        client.hear_until(r"^lobby second: still here$")
    # What is said behind it in one go is for the next one.
    first.say("/crash\nwhat a fall")
    for client in (first, second):
        client.hear_until(r"^lobby first: what a fall$")
        client.say("/quit")
        while client.hear() is not None:
            pass


def crash_while_talking(port):
    """What others say while the room crashes is heard, once and in order."""
    bully, talker, noise = Client(port, "bully"), Client(port, "talker"), Client(port)
    for client in (bully, talker):
        client.say("/join storm")
        client.hear_until("joined " + ("bully" if client is bully else "talker"))
    heard = 0
    for _ in range(40):
        time.sleep(0.011)  # a client's next crash is put off that long
        spoken = heard + 50
        noise.socket.sendall(b"\n" * 100000)  # the server is busy until both others have come
        bully.say("/crash")
        talker.say("\n".join("word %d" % word for word in range(heard, spoken)))
        while heard < spoken:
            found = talker.hear_until(r"^storm talker: word (\d+)$")
            assert int(found.group(1)) == heard, "word %s, not %d" % (found.group(1), heard)
            heard += 1
        bully.hear_until(r"^\* storm restarted ")
    for client in (bully, talker, noise):
        client.socket.close()


def churn(port, clients):
    crowd = [Client(port, "n%d" % i) for i in range(clients)]
    for i, client in enumerate(crowd):
        client.say("/join room%d" % (i % 7))
        client.say("hello from %d" % i)
    crowd[-1].hear_until("hello from %d$" % (clients - 1))
    for client in crowd:
        client.socket.sendall(b"vanishes in the middle of a li")
        client.socket.close()


def main():
    with open(sys.argv[1], "rb") as program:
        text = program.read()
    # Sanitizers keep freed memory for a while, and are slow.
    is_plain = b"__asan_init" not in text and b"__tsan_init" not in text
    clients = 200 if is_plain else 50
    server = subprocess.Popen([sys.argv[1], "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r"port (\d+)", server.stdout.readline()).group(1))
        crash(port)
        crash_while_talking(port)
        churn(port, clients)  # opens the rooms
        idle = actors(port)
        wait_for(lambda: actors(port) <= 3 + 2 + 9 + 2, "the connections end")
        idle = actors(port)
        fds, threads = descriptors(server.pid), status(server.pid, "Threads")
        sizes = []
        for _ in range(3):
            churn(port, clients)
            wait_for(lambda: actors(port) == idle, "the connections end")
            wait_for(lambda: descriptors(server.pid) == fds, "the descriptors are closed")
            assert status(server.pid, "Threads") == threads
            sizes.append(status(server.pid, "VmRSS"))
        print("descriptors %d, threads %d, resident %s kB" % (fds, threads, sizes))
        if is_plain:
            assert sizes[2] <= sizes[1] * 1.02, "it grows: %s kB" % sizes

        watchers = [Client(port, "w%d" % i) for i in range(20)]
        for client in watchers:
            client.say("/join lobby")
        watchers[-1].hear_until("joined w19")
        # More than the server has read when it is told to end. Nothing answers an empty line.
        pushers = [Client(port) for _ in range(5)]
        for client in pushers:
            client.say("/leave")
            client.hear_until("no room")
            client.socket.setblocking(False)
            try:
                while True:
                    client.socket.send(b"\n" * 65536)
            except BlockingIOError:
                client.socket.settimeout(10)
        # Much is written to these, which have not read it yet.
        talkers = [Client(port) for _ in range(5)]
        for client in talkers:
            client.say("/join bar")
            client.hear_until("joined")
        for client in talkers:
            client.socket.sendall(b"hello there\n" * 2000)
        time.sleep(0.02)
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=10) == 0, "exit status %d" % server.returncode
        took = time.monotonic() - started
        assert took < 2 or not is_plain, "the end took %.1f s" % took
        for client in watchers + pushers + talkers:  # an end of stream, not a reset
            while client.hear() is not None:
                pass
    finally:
        if server.poll() is None:
            server.kill()


if __name__ == "__main__":
    main()
