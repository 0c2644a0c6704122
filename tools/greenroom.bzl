"""How greenroom's own targets are declared: library, test, example, benchmark."""

# The arrows: what each folder may depend on, besides itself and //third_party. A name stands for
# the folder and all that are in it. Folders that are not here (tests, examples) stand above the layers
# and may use all of them.
_ARROWS = {
    "scheduler/time": [],
    "scheduler/system": ["scheduler/time"],
    "scheduler/memory": ["scheduler/system"],
    "scheduler/unwind": [],
    "scheduler/fiber": ["scheduler/system"],
    "scheduler/trace": ["scheduler/system", "scheduler/fiber", "scheduler/unwind"],
    "scheduler/port": ["scheduler/system"],
    "scheduler/task": ["scheduler/system", "scheduler/fiber"],
    "scheduler/hub": ["scheduler/time", "scheduler/system", "scheduler/memory", "scheduler/unwind", "scheduler/fiber", "scheduler/trace", "scheduler/port", "scheduler/task"],
    "scheduler/watch": ["scheduler/time", "scheduler/system", "scheduler/unwind", "scheduler/fiber", "scheduler/trace", "scheduler/port", "scheduler/task", "scheduler/hub"],
    "scheduler/sync": ["scheduler/time", "scheduler/system", "scheduler/task", "scheduler/hub"],
    "scheduler/interpose": ["scheduler/system", "scheduler/task", "scheduler/hub"],
    "scheduler/greenlet": ["scheduler/time", "scheduler/system", "scheduler/memory", "scheduler/task", "scheduler/hub", "scheduler/watch", "scheduler/sync", "scheduler/interpose"],
    "scheduler": ["scheduler"],
    "mailbox": ["scheduler"],
    "io/socket": ["scheduler"],
    "io/poll": ["io/socket", "scheduler"],
    "io/stream": ["io/socket", "io/poll", "scheduler"],
    "io/resolver": ["io/socket", "io/poll", "scheduler"],
    "io/dns": ["io/socket", "io/resolver", "scheduler"],
    "io/tcp": ["io/socket", "io/poll", "io/stream", "io/dns", "scheduler"],
    "io/tls": ["io/socket", "io/poll", "io/stream", "io/tcp", "scheduler"],
    "io": ["io", "scheduler"],
    "actors/values": ["scheduler"],
    "actors/names": ["actors/values", "scheduler"],
    "actors/core": ["actors/values", "actors/names", "mailbox", "scheduler"],
    "actors/hubs": ["actors/values", "actors/core", "scheduler"],
    "actors/verbs": ["actors/values", "actors/names", "actors/core", "actors/hubs", "mailbox", "scheduler"],
    # A server may be told of lines: io/stream.
    "actors/server": ["actors/values", "actors/names", "actors/core", "actors/verbs", "io/stream", "mailbox", "scheduler"],
    "actors/supervisor": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "scheduler"],
    "actors/run": ["actors/values", "actors/core", "actors/hubs", "actors/verbs", "actors/supervisor", "io/poll", "mailbox", "scheduler"],
    "actors/tcp": ["actors", "io", "mailbox", "scheduler"],
    "actors": ["actors", "io", "mailbox", "scheduler"],
    "testkit/simulation": ["io", "scheduler"],
    "testkit": ["testkit/simulation", "actors", "io", "mailbox", "scheduler"],
    # To come: where a folder of that name is to stand.
    "scheduler/coroutine": ["scheduler/time", "scheduler/system", "scheduler/task", "scheduler/hub", "scheduler/sync", "scheduler/greenlet"],
    "io/udp": ["io/socket", "io/poll", "io/stream", "io/dns", "scheduler"],
    "io/uds": ["io/socket", "io/poll", "io/stream", "scheduler"],
    "io/subprocess": ["io/socket", "io/poll", "io/stream", "scheduler"],
    "io/files": ["io/socket", "io/poll", "io/stream", "scheduler"],
    "io/loop": ["io/socket", "io/poll", "scheduler"],
    "io/server": ["io/socket", "io/poll", "io/stream", "io/tcp", "io/tls", "scheduler"],
    "io/http": ["io/socket", "io/stream", "io/dns", "io/tcp", "io/tls", "io/server", "scheduler"],
    "io/websocket": ["io/http", "scheduler"],
    "actors/statem": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "mailbox", "scheduler"],
    "actors/event": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "mailbox", "scheduler"],
    "actors/pubsub": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "mailbox", "scheduler"],
    "actors/registry": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "mailbox", "scheduler"],
    "actors/pg": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "mailbox", "scheduler"],
    "actors/pool": ["actors/values", "actors/names", "actors/core", "actors/verbs", "actors/server", "mailbox", "scheduler"],
    "actors/http": ["actors", "io", "mailbox", "scheduler"],
    "testkit/probes": ["testkit", "actors", "io", "mailbox", "scheduler"],
}

# In the target rather than in .bazelrc: a program that has greenroom as an external repository
# needs them as well. Stack traces look names up in the dynamic symbol table; they walk .eh_frame,
# but perf, and gdb in code without it, walk frame pointers. A green thread's guard page is only safe
# if no frame steps over it.
_COPTS = [
    "-std=c++20",
    "-fno-omit-frame-pointer",
    "-fstack-clash-protection",
    # A function begins with a cache line: what is linked before it does not matter to its speed
    # (a call took 55 or 60 ns).
    "-falign-functions=64",
]

_LINKOPTS = [
    "-pthread",
    "-rdynamic",
]

def _package(label):
    """The package a dependency is in; None outside this repository."""
    if label.startswith("@"):
        return None
    return label[2:].split(":")[0] if label.startswith("//") else native.package_name()

def _is_in(package, folder):
    return package == folder or package.startswith(folder + "/")

def _check_arrows(name, deps):
    here = native.package_name()
    if here not in _ARROWS:
        if here.split("/")[0] in [folder.split("/")[0] for folder in _ARROWS]:
            fail("//%s: no arrows are drawn for this folder; add it to _ARROWS in tools/greenroom.bzl, with what it may use" % here)
        return
    for dep in deps:
        package = _package(dep)
        if package in [None, here, "third_party"]:
            continue
        if not [folder for folder in _ARROWS[here] if _is_in(package, folder)]:
            fail("//%s:%s: %s may use %s, not %s: that arrow is not in _ARROWS, tools/greenroom.bzl. Move what both need below both, or turn the arrow around" % (
                here,
                name,
                here,
                " and ".join(_ARROWS[here]) or "no other folder",
                dep,
            ))

def greenroom_library(name, srcs = [], hdrs = [], deps = [], copts = [], linkopts = [], **attributes):
    """A cc_library whose header <folder>/x.h is included as "greenroom/<folder>/x.h" everywhere.

    Headers go into `hdrs`, private ones too: only those are found under that name. Visibility is
    private unless given; a dependency on a higher layer is refused here, because a target that is
    public for users cannot refuse it by visibility.
    """
    _check_arrows(name, deps)
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = deps,
        strip_include_prefix = "/" + native.package_name(),
        include_prefix = "greenroom/" + native.package_name(),
        copts = _COPTS + copts,
        linkopts = _LINKOPTS + linkopts,
        **attributes
    )

def greenroom_test(name, srcs = None, deps = [], copts = [], size = "small", **attributes):
    """A GoogleTest program, main included; `srcs` is name.cc unless given.

    Tags: "no-asan" and "no-tsan" leave it out of that configuration; "external" runs it always, for
    tests that are not the same each time.
    """
    native.cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        deps = deps + ["//third_party:gtest_main"],
        copts = _COPTS + copts,
        size = size,
        **attributes
    )

def greenroom_example(
        name,
        srcs = None,
        deps = [],
        copts = [],
        args = [],
        golden = None,
        size = "small",
        tags = [],
        visibility = None,
        **attributes):
    """A program and a test, <name>_test, that runs it with `args`.

    The test passes if the program exits with 0 and, with `golden` (a file), if what it wrote to
    stdout is that file's text.
    """
    native.cc_binary(
        name = name,
        srcs = srcs or [name + ".cc"],
        deps = deps,
        copts = _COPTS + copts,
        visibility = visibility,
        **attributes
    )
    expected = [golden] if golden else []
    native.sh_test(
        name = name + "_test",
        srcs = ["//tools:run_example.sh"],
        args = [
            "$(rootpath :%s)" % name,
            "$(rootpath %s)" % golden if golden else "-",
        ] + args,
        data = [":" + name] + expected,
        size = size,
        tags = tags,
    )

def greenroom_benchmark(name, srcs = None, deps = [], copts = [], **attributes):
    """A program that `./dev bench` runs; `srcs` is name.cc unless given. It has its own main."""
    native.cc_binary(
        name = name,
        srcs = srcs or [name + ".cc"],
        deps = deps,
        copts = _COPTS + copts,
        testonly = True,
        **attributes
    )
