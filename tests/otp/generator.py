"""Random programs of the differential test: what runs is a pure function of the seed.

A program is generated so that its trace depends on nothing but the order of signals from one
sender to one receiver, which is all that Erlang promises (program.h shows the text):

- Between two steps everything is quiet, so a step starts from a known state.
- A step has one root cause at most of deaths (a "fatal" command): whoever dies of it dies of the
  same reason, in whatever order the signals arrive. After a fatal command a batch only does what
  concerns the victim and cannot be overtaken by its end.
- Batches that run at the same time have no fatal command, or nothing to do with each other.
- Nobody asks twice in a step, by a monitor or a link, after the same dead actor.
- Two actors have to do with each other if they were ever linked (a group, never split). One is
  frail if a fatal command has hit its group: it may be dead, and a link to it may be fatal.
"""

import random

NAMES = ["n0", "n1", "n2"]
REASONS = ["normal", "shutdown", "kill", "killed", "noproc", "crash", "shutdown(1)", "error",
           "normal(1)", "kill(1)"]
ABNORMAL = REASONS[1:]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seed = seed
        self.group = {}  # actor -> representative
        self.frail = set()
        self.gone = set()  # probably dead: for better programs, not for their determinism
        self.monitors = []  # (variable, owner, target): made in an earlier step
        self.new_monitors = []
        self.asked = set()  # in this step: (who, a dead actor or name), monitored or linked
        self.counts = {"p": 0, "r": 0, "b": 0, "m": 0}
        self.lines = []

    # Words.

    def chance(self, percent):
        return self.random.randrange(100) < percent

    def choice(self, items):
        return items[self.random.randrange(len(items))]

    def weighted(self, table):
        return self.random.choices([row[1] for row in table], [row[0] for row in table])[0]

    def new(self, kind):
        self.counts[kind] += 1
        return "%s%d" % (kind, self.counts[kind] - 1)

    # Groups.

    def find(self, actor):
        while self.group[actor] != actor:
            actor = self.group[actor]
        return actor

    def join(self, one, other):
        one, other = self.find(one), self.find(other)
        if one != other:
            self.group[other] = one

    def hit(self, actor):
        group = self.find(actor)
        self.frail.update(a for a in self.group if self.find(a) == group)

    def new_actor(self):
        actor = self.new("p")
        self.group[actor] = actor
        return actor

    def any_actor(self):
        present = [actor for actor in self.group if actor not in self.gone]
        return self.choice(present if present and self.chance(85) else list(self.group))

    def firm_actors(self):
        return [actor for actor in self.group if actor not in self.frail]

    # Commands.

    def harmless(self, me, alone=True):
        """A command that ends nobody. `alone`: nothing else runs at the same time."""
        other = self.any_actor()
        table = [
            (6, lambda: "send %s %s" % (other, self.new("m"))),
            (5, lambda: self.monitor(me, other)),
            (6, lambda: self.link(me)),
        ]
        if alone:
            table += [
                (4, lambda: "trap " + self.choice(["on", "on", "off"])),
                (3, lambda: "unlink " + other),
                # To oneself it would be a race with a later `trap off`.
                (1, lambda: "exit %s normal" % other if other != me else "alive " + me),
                (1, lambda: "send_name %s %s" % (self.choice(NAMES), self.new("m"))),
                (2, lambda: self.monitor_name(me)),
                (3, lambda: "register %s %s" % (self.choice(NAMES), other)),
                (1, lambda: "unregister " + self.choice(NAMES)),
                (1, lambda: "whereis " + self.choice(NAMES)),
                (1, lambda: "alive " + other),
                (2, lambda: self.spawn(me)),
            ]
        return self.weighted(table)()

    def link(self, me):
        firm = self.firm_actors()
        other = self.choice(firm) if firm else me
        self.join(me, other)
        return "link " + other

    def is_second_question(self, me, other):
        """A second answer for the same dead actor has no order with the first."""
        is_second = (me, other) in self.asked
        if other in NAMES or other in self.frail:
            self.asked.add((me, other))
        return is_second

    def monitor(self, me, other):
        if self.is_second_question(me, other):
            return "send %s %s" % (other, self.new("m"))
        variable = self.new("r")
        self.new_monitors.append((variable, me, other))
        return "monitor %s %s" % (other, variable)

    def monitor_name(self, me):
        name = self.choice(NAMES)
        if self.is_second_question(me, NAMES[0]):
            return "whereis " + name
        variable = self.new("r")
        self.new_monitors.append((variable, me, me))
        return "monitor_name %s %s" % (name, variable)

    def spawn(self, me, body=None, verbs=("spawn", "spawn_link", "spawn_monitor")):
        verb = self.choice(verbs)
        child = self.new_actor()
        if verb == "spawn_link":
            self.join(me, child)
        words = [verb, child]
        if verb == "spawn_monitor":
            variable = self.new("r")
            self.new_monitors.append((variable, me, child))
            words.append(variable)
        return " ".join(words + [body(child)] if body else words)

    def first(self, me):
        """What reads the mailbox: only at the start, while nothing is under way."""
        mine = [variable for variable, owner, _ in self.monitors if owner == me]
        table = [(4, lambda: "flush"), (2, lambda: "take " + self.any_actor())]
        if mine:
            table += [
                (4, lambda: "demonitor " + self.choice(mine)),
                (2, lambda: "take_down " + self.choice(mine)),
            ]
        return self.weighted(table)()

    def fatal(self, me):
        """One command that may end somebody, and what may follow it at once."""
        return self.weighted([
            (8, lambda: self.exit_other(me)),
            (2, lambda: self.exit_self(me)),
            (3, lambda: self.end(me)),
            (2, lambda: self.link_to_frail(me)),
            (6, lambda: self.spawn_with_body(me)),
        ])()

    def exit_other(self, me):
        victim = self.any_actor()
        is_apart = self.find(victim) != self.find(me)
        self.hit(victim)
        reason = self.choice(REASONS)
        if reason == "kill" or (reason != "normal" and self.chance(40)):
            self.gone.add(victim)
        commands = ["exit %s %s" % (victim, reason)]
        if is_apart:
            is_link = self.chance(40) and not self.is_second_question(me, victim)
            while self.chance(50):
                commands.append(self.weighted([
                    (1, lambda: "send %s %s" % (victim, self.new("m"))),
                    (1, lambda: "alive " + victim),
                    (0 if is_link else 2, lambda: self.monitor(me, victim)),
                ])())
            if is_link:
                self.join(me, victim)
                self.hit(me)
                commands.append("link " + victim)
        return commands

    def exit_self(self, me):
        self.hit(me)
        # exit(self(), normal) is rare: it is a known difference, which interpreter.erl levels.
        reason = "normal" if self.chance(5) else self.choice(ABNORMAL)
        return ["exit %s %s" % (me, reason)]

    def end(self, me):
        self.hit(me)
        self.gone.add(me)
        return [self.choice(["return", "throw", "stop " + self.choice(REASONS)])]

    def link_to_frail(self, me):
        other = self.any_actor()
        if self.is_second_question(me, other):
            return ["send %s %s" % (other, self.new("m"))]
        self.join(me, other)
        self.hit(me)
        return ["link " + other]

    def spawn_with_body(self, me):
        verb = self.choice(["spawn", "spawn_link", "spawn_link", "spawn_monitor"])
        return [self.spawn(me, lambda child: self.body(child), [verb])]

    def body(self, child):
        commands = []
        if self.chance(50):
            commands.append("trap on")
        while self.chance(50):
            commands.append(self.weighted([
                (1, lambda: "send %s %s" % (self.any_actor(), self.new("m"))),
                (1, lambda: self.link(child)),
                (1, lambda: self.monitor(child, self.any_actor())),
            ])())
        if self.chance(80):
            commands += [self.exit_other(child)[0] if self.chance(20) else self.end(child)[0]]
        if not commands:
            commands = ["trap off"]
        name = self.new("b")
        self.lines.append("body %s : %s" % (name, " ; ".join(commands)))
        return name

    # Steps.

    def single_batch(self, me):
        commands = []
        if self.chance(25):
            commands.append(self.first(me))
        for _ in range(self.choice([0, 1, 1, 1, 2, 3, 5])):
            commands.append(self.harmless(me))
        if not commands or self.chance(35):
            commands += self.fatal(me)
        return commands

    def parallel_harmless(self):
        actors = self.random.sample(self.firm_actors(), min(3, len(self.firm_actors())))
        batches = []
        for me in actors:
            count = self.choice([1, 2, 4])
            batches.append((me, [self.harmless(me, alone=False) for _ in range(count)]))
        return batches

    def parallel_fatal(self):
        """Ends of groups that have nothing to do with each other."""
        groups = {}
        for actor in self.group:
            groups.setdefault(self.find(actor), []).append(actor)
        batches = []
        for group in list(groups.values())[-3:]:
            me, victim = self.choice(group), self.choice(group)
            commands = self.end(me)
            if self.chance(60):
                self.hit(victim)
                commands = ["exit %s %s" % (victim, self.choice(ABNORMAL))]
            batches.append((me, commands))
        return batches

    def step(self):
        kind = self.random.randrange(100)
        if kind < 10:
            batches = self.parallel_harmless()
        elif kind < 17:
            batches = self.parallel_fatal()
        else:
            me = self.any_actor()
            batches = [(me, self.single_batch(me))]
        self.add_step(batches)

    def add_step(self, batches):
        texts = ["%s : %s" % (me, " ; ".join(commands)) for me, commands in batches if commands]
        if texts:
            self.lines.append("step " + " & ".join(texts))
        self.monitors += self.new_monitors
        self.new_monitors = []
        self.asked = set()

    def program(self):
        actors = [self.new_actor() for _ in range(self.choice([2, 3, 4, 6]))]
        self.lines = ["program %d" % self.seed, "actors " + " ".join(actors)]
        for actor in actors:
            if self.chance(50):
                self.add_step([(actor, ["trap on"])])
        for _ in range(self.choice([5, 10, 15, 20, 30])):
            self.step()
        for actor in self.group:
            self.lines.append("step %s : flush" % actor)
        return "\n".join(self.lines + ["end", ""])


def program(seed):
    return Generator(seed).program()


if __name__ == "__main__":
    import sys

    for argument in sys.argv[1:]:
        sys.stdout.write(program(int(argument)))
