"""Greenlets and actors in gdb, for a live process or a core file.

    gdb -p PID -x tools/greenroom-gdb.py -ex 'greenroom bt' --batch
    gdb PROGRAM CORE -x tools/greenroom-gdb.py

    greenroom list        every hub and what lives on it
    greenroom bt [all]    the stack of every greenlet and actor that has one
    greenroom bt N        of number N in the list, or of a pid: <0.12.3>

It reads memory and writes nothing, neither memory nor registers; it calls nothing in the program.
Where things lie is told by a table in the program (scheduler/watch/debug_layout.cc), so that debug
information is needed for file names and lines only. Stacks are unwound by gdb itself: while one is
printed, an unwinder tells gdb that what a parked greenlet has saved called the innermost frame.
x86-64 only.

One file, and over 400 lines, because gdb loads a script by its path: a user copies this one next to
a core file and needs nothing else.

A core file that the kernel wrote has all stacks. One by gcore has none if their guards are advice to
the kernel (Linux 6.13 and later), because gcore gives up a mapping at the first page that it cannot
read: start the program with GREENROOM_STACK_GUARD=mprotect if you want to use gcore.
"""

import re
import struct
import time

import gdb
import gdb.unwinder

# What jump_fcontext (Boost 1.81) leaves at a saved context: control words in the first two, then
# these.
SAVED = {"r12": 2, "r13": 3, "r14": 4, "r15": 5, "rbx": 6, "rbp": 7, "rip": 8}
SAVED_WORDS = 9
# jump() in scheduler/fiber/fiber.h keeps off the red zone.
RED_ZONE = 128

MAX_FRAMES = 200
NO_DEADLINE = 2**63 - 1


# --- Memory ---------------------------------------------------------------------------------------


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def signed(address):
    return struct.unpack("<q", read(address, 8))[0]


def text(address):
    result = b""
    while b"\0" not in result:
        result += read(address + len(result), 16 - (address + len(result)) % 16)
    return result.split(b"\0")[0].decode(errors="replace")


def std_string(address):
    return read(word(address), word(address + 8)).decode(errors="replace")


def std_strings(address):
    """Of a std::vector<std::string>."""
    return [std_string(at) for at in range(word(address), word(address + 8), 32)]


def demangled_type(name):
    """Of what std::type_info::name() returns."""
    try:
        readable = gdb.execute("demangle -l c++ -- _ZTI" + name.lstrip("*"), to_string=True).strip()
    except gdb.error:
        return name
    readable = readable.replace(
        "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
        "std::string",
    )
    prefix = "typeinfo for "
    return readable[len(prefix) :] if readable.startswith(prefix) else name


class Layout:
    """The tables of names, offsets and addresses that the program has."""

    def __init__(self):
        self.values = {}
        self.addresses = {}
        if not self.add("greenroom_debug_layout"):
            raise gdb.GdbError("There is no greenroom in this program, or it was stripped.")
        self.has_actors = self.add("greenroom_actor_debug_layout")

    def add(self, symbol):
        try:
            entry = word(int(gdb.parse_and_eval("(unsigned long)&" + symbol)))
        except gdb.error:
            return False
        while word(entry):
            name = text(word(entry))
            self.values[name] = word(entry + 8)
            self.addresses[name] = word(entry + 16)
            entry += 24
        return True

    def __getitem__(self, name):
        return self.values[name]


# --- Hubs and tasks -------------------------------------------------------------------------------


class Task:
    def __init__(self, layout, hub, address):
        self.layout, self.hub, self.address = layout, hub, address
        number = read(address + layout["Task::state"], 1)[0]
        self.state = next(
            name.split("::")[1]
            for name, value in layout.values.items()
            if name.startswith("TaskState::") and value == number
        )
        self.fiber = word(address + layout["Task::fiber"])

    def pid(self):
        """As <0.12.3>; None if it is no actor."""
        extension = word(self.address + self.layout["Task::extension"])
        if not extension or not self.layout.has_actors:
            return None
        number = word(extension + self.layout["Actor::number"])
        bits = self.layout["Pid::index_bits"]
        return "<0.%d.%d>" % (number & ((1 << bits) - 1), number >> bits)

    def description(self):
        pid = self.pid()
        if pid:
            parts, label = ["actor", pid], ""
            extension = word(self.address + self.layout["Task::extension"])
            extras = word(extension + self.layout["Actor::extras"])
            if extras:
                names = std_strings(extras + self.layout["ActorExtras::names"])
                parts += ["'%s'" % name for name in names]
                label = std_string(extras + self.layout["ActorExtras::label"])
            return " ".join(parts + [label or self.type_name()]).rstrip()
        if self.is_root():
            return "root greenlet"
        return "greenlet " + (self.type_name() or "?")

    def type_name(self):
        """Of the callable or the server; empty if it has none."""
        ops = word(self.address + self.layout["Task::ops"])
        type_info = word(ops + self.layout["TaskOps::type"])
        return demangled_type(text(word(type_info + 8))) if type_info else ""

    def is_root(self):
        return word(self.hub.address + self.layout["Hub::root"]) == self.address

    def state_text(self):
        if self.state != "parked":
            stackless = self.state in ("fresh", "idle")
            return self.state + (", without a stack" if stackless else "")
        park = word(self.address + self.layout["Task::park"])
        if not park:
            return "about to park"
        now = self.hub.now()
        try:
            since = signed(park + self.layout["ParkFrame::since"])
            deadline = signed(park + self.layout["ParkFrame::deadline"])
            reason = text(word(park + self.layout["ParkFrame::reason"]))
        except gdb.MemoryError:
            return "parked; its stack is not in the core file"
        least, most = ("", "") if self.hub.is_clock_known() else ("at least ", "at most ")
        result = "parked in %s for %s%.3f s" % (reason, least, (now - since) * 1e-9)
        if deadline < 0:  # open: the hub has not looked at the clock since
            deadline = now - deadline
        if deadline != NO_DEADLINE:
            result += ", %s%.3f s left" % (most, (deadline - now) * 1e-9)
        return result

    def context(self):
        """Where its registers are saved; None if it runs or has no stack."""
        if not self.fiber or self.state not in ("parked", "ready", "abandoned"):
            return None
        return word(self.fiber + self.layout["Fiber::context"]) or None


class Hub:
    def __init__(self, layout, number, port, address):
        self.layout, self.number, self.port, self.address = layout, number, port, address
        self.tasks = []
        task = word(address + layout["Hub::first_task"])
        while task:
            self.tasks.append(Task(layout, self, task))
            task = word(task + layout["Task::next_in_hub"])

    def now(self):
        """Nanoseconds on its clock; of a core file those at the hub's last turn."""
        if self.is_simulated() or not is_live():
            return signed(self.address + self.layout["Hub::housekept_at"])
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def is_clock_known(self):
        return self.is_simulated() or is_live()

    def is_simulated(self):
        return word(self.address + self.layout["Hub::environment"]) != 0

    def thread(self):
        """The thread that runs it: the one that its errno belongs to. None if it has none."""
        error_number = word(self.address + self.layout["Hub::error_number"])
        found = [(base - error_number, thread) for thread, base in thread_bases()]
        found = [pair for pair in found if 0 < pair[0] < 1 << 20]
        return min(found, key=lambda pair: pair[0])[1] if found else None

    def title(self):
        thread = self.thread()
        where = "thread %d, LWP %d" % (thread.num, thread.ptid[1]) if thread else "no thread"
        if self.is_simulated():
            where += ", simulated"
        asleep = struct.unpack("<I", read(self.port + self.layout["Port::sleep_word"], 4))[0]
        count = "%d task%s" % (len(self.tasks), "" if len(self.tasks) == 1 else "s")
        return "hub %d (%s): %s%s" % (self.number, where, count, ", asleep" if asleep else "")


def is_live():
    connection = getattr(gdb.selected_inferior(), "connection", None)
    return connection is not None and connection.type == "native"


def thread_bases():
    """Each thread with its fs_base: its thread-local storage ends there."""
    selected = gdb.selected_thread()
    bases = []
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        bases.append((thread, int(gdb.parse_and_eval("(unsigned long)$fs_base"))))
    if selected:
        selected.switch()
    return bases


def all_hubs():
    if not gdb.selected_thread():
        raise gdb.GdbError("There is no process; attach to one, or load a core file.")
    layout = Layout()
    table, limit = layout.addresses["Port::table"], layout["Port::table"]
    hubs = []
    for number, port in enumerate(struct.unpack("<%dQ" % limit, read(table, 8 * limit))):
        if not port:
            break
        address = word(port + layout["Port::hub"])
        if address:
            hubs.append(Hub(layout, number, port, address))
    return hubs


# --- Stacks ---------------------------------------------------------------------------------------


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class ContextUnwinder(gdb.unwinder.Unwinder):
    """While a context is set, that is what called the selected thread's innermost frame."""

    def __init__(self):
        super().__init__("greenroom")
        self.context = None

    def set(self, context):
        self.context = None
        gdb.invalidate_cached_frames()
        newest = gdb.newest_frame()
        self.innermost = (newest.pc(), to_int(newest.read_register("rsp")))
        self.context = context
        gdb.invalidate_cached_frames()

    def clear(self):
        self.context = None
        gdb.invalidate_cached_frames()

    def __call__(self, frame):
        if self.context is None:
            return None
        if (to_int(frame.read_register("rip")), to_int(frame.read_register("rsp"))) != self.innermost:
            return None
        # gdb wants callers to lie higher on the stack.
        address = frame.read_register("rsp").type
        identity = FrameId(gdb.Value(self.context - 16).cast(address), frame.read_register("rip"))
        info = frame.create_unwind_info(identity)
        registers = {name: word(self.context + 8 * at) for name, at in SAVED.items()}
        registers["rsp"] = self.context + 8 * SAVED_WORDS + RED_ZONE
        for name, value in registers.items():
            kind = frame.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


def to_int(register):
    return int(register.cast(gdb.lookup_type("long"))) & (2**64 - 1)


unwinder = ContextUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def frame_lines(first, saved_pc=None):
    """From that frame outwards, one line each, down to where the hub takes over.

    What is inlined into the parking function, and std::invoke and its like, are left out.
    """
    lines = []
    frame = first
    for _ in range(MAX_FRAMES):
        if not frame:
            break
        name = frame.name() or "??"
        if name.split("(")[0] in THE_HUB:
            break
        sal = frame.find_sal()
        file = sal.symtab.filename if sal.symtab and sal.line else ""
        is_inlined = frame.type() == gdb.INLINE_FRAME
        if not (is_inlined and (frame.pc() == saved_pc or "/include/c++/" in file)):
            lines.append(
                "    #%-2d 0x%016x %s%s" % (len(lines), frame.pc(), shortened(name), where(frame, sal))
            )
        frame = frame.older()
    return lines


THE_HUB = ["greenroom::Hub::" + name for name in ("run_fresh", "run_loop", "runner_entry")]


def shortened(name):
    return name if len(name) <= 120 else name[:117] + "..."


def where(frame, sal):
    if sal.symtab and sal.line:
        # Bazel compiles against copies of the headers.
        file = re.sub(r"^bazel-out/.*/_virtual_includes/[^/]*/", "", sal.symtab.filename)
        return " at %s:%d" % (file, sal.line)
    library = None if frame.function() else gdb.solib_name(frame.pc())
    return " in " + library if library else ""


def saved_stack(context):
    saved_pc = word(context + 8 * SAVED["rip"])
    unwinder.set(context)
    try:
        frame = gdb.newest_frame()
        while frame and frame.pc() != saved_pc:
            frame = frame.older()
        return frame_lines(frame, saved_pc)
    finally:
        unwinder.clear()


def stack_of(task):
    try:
        context = task.context()
        if context:
            return saved_stack(context)
    except gdb.MemoryError:
        return []
    thread = task.hub.thread()
    if task.state != "running" or not thread:
        return []
    selected = gdb.selected_thread()
    thread.switch()
    try:
        return frame_lines(gdb.newest_frame())
    finally:
        selected.switch()


# --- Commands -------------------------------------------------------------------------------------


def numbered(hubs):
    """(hub, [(number, task)...]) with the numbers of the list."""
    number = 0
    for hub in hubs:
        first, number = number, number + len(hub.tasks)
        yield hub, list(enumerate(hub.tasks, first))


def task_line(number, task):
    return "  %-4d %s: %s" % (number, task.description(), task.state_text())


class Greenroom(gdb.Command):
    """Greenlets and actors: greenroom list, greenroom bt [all | N | PID]"""

    def __init__(self):
        super().__init__("greenroom", gdb.COMMAND_STACK, prefix=True)


class List(gdb.Command):
    """Every hub, and the greenlets and actors that live on it."""

    def __init__(self):
        super().__init__("greenroom list", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for hub, tasks in numbered(all_hubs()):
            print(hub.title())
            for number, task in tasks:
                print(task_line(number, task))


class Backtrace(gdb.Command):
    """The stacks of all greenlets and actors, or of one: greenroom bt [all | N | PID]"""

    def __init__(self):
        super().__init__("greenroom bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.strip()
        is_found = False
        for hub, tasks in numbered(all_hubs()):
            chosen = [
                (number, task)
                for number, task in tasks
                if wanted in ("", "all", str(number)) or wanted == task.pid()
            ]
            is_found = is_found or bool(chosen)
            if chosen:
                print(hub.title())
            for number, task in chosen:
                print(task_line(number, task))
                for line in stack_of(task):
                    print(line)
        if not is_found and wanted not in ("", "all"):
            raise gdb.GdbError("There is no greenlet %s; greenroom list has them all." % wanted)


Greenroom()
List()
Backtrace()
