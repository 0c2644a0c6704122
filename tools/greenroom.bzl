"""How greenroom's own targets are declared: library, test, example, benchmark."""

# Which folders a layer may depend on, besides itself and //third_party. Folders that are not here
# (tests, examples, testkit) stand above the layers and may use all of them.
_LAYERS = {
    "scheduler": [],
    "mailbox": ["scheduler"],
    "io": ["scheduler"],
    "actors": ["io", "mailbox", "scheduler"],
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

def _folder(label):
    """The top folder of the package a dependency is in; None outside this repository."""
    if label.startswith("@"):
        return None
    package = label[2:].split(":")[0] if label.startswith("//") else native.package_name()
    return package.split("/")[0]

def _check_arrows(name, deps):
    layer = native.package_name().split("/")[0]
    if layer not in _LAYERS:
        return
    for dep in deps:
        if _folder(dep) not in [None, layer, "third_party"] + _LAYERS[layer]:
            fail("//%s:%s: the layer %s may use %s, not %s" % (
                native.package_name(),
                name,
                layer,
                " and ".join(_LAYERS[layer]) or "no other layer",
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

    Tags: "no-asan" and "no-tsan" leave it out of that configuration.
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
