"""What a workspace needs in order to build greenroom: `greenroom_dependencies()`.

Call it from the WORKSPACE of greenroom itself or of a program that uses it. Everything comes from
Debian 12 packages that are already on the machine; nothing is downloaded. A repository the calling
workspace has already defined is left as it is.
"""

_BAZEL = "/usr/share/bazel"

def _written_repository(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    for path, text in ctx.attr.files.items():
        ctx.file(path, text)

# A repository whose few files are spelled out right here.
written_repository = repository_rule(
    implementation = _written_repository,
    attrs = {"files": attr.string_dict(mandatory = True)},
)

# Debian's rules_cc is too new for its Bazel; the native rules are all that anybody loads from it.
_RULES_CC = "\n".join(["%s = native.%s" % (rule, rule) for rule in [
    "cc_binary",
    "cc_import",
    "cc_library",
    "cc_proto_library",
    "cc_test",
    "cc_toolchain",
    "cc_toolchain_suite",
    "fdo_prefetch_hints",
    "fdo_profile",
]]) + "\n"

def _once(rule, name, **attributes):
    if not native.existing_rule(name):
        rule(name = name, **attributes)

def greenroom_dependencies():
    """Defines the repositories that greenroom's packages name."""

    # Bazel's own standard repositories, which it would otherwise fetch from the network.
    _once(native.local_repository, "platforms", path = _BAZEL + "/tools/platforms")
    _once(native.local_repository, "bazel_skylib", path = _BAZEL + "/tools/skylib")
    _once(native.local_repository, "rules_java", path = _BAZEL + "/rules/java")
    _once(native.local_repository, "rules_proto", path = _BAZEL + "/rules/proto")
    _once(written_repository, "rules_cc", files = {
        "BUILD": "",
        "cc/BUILD": "",
        "cc/defs.bzl": _RULES_CC,
    })

    # Every cc_test names it, `bazel coverage` alone would run it.
    _once(written_repository, "remote_coverage_tools", files = {
        "BUILD": "filegroup(name = \"coverage_report_generator\", visibility = [\"//visibility:public\"])\n",
    })

    # The libraries; //third_party gives them their names.
    _once(
        native.new_local_repository,
        "greenroom_system",
        path = "/usr",
        build_file = "@greenroom//third_party:system.BUILD",
    )
