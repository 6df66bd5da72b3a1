# SPDX-License-Identifier: Apache-2.0
"""Runs the builds, gates and tests for script/test, which documents the arguments.

What runs prints TAP, or closes with its counts; this adds them up. A program that ends badly,
prints no plan or fewer results than it planned counts as one more failure, so nothing can be lost
silently.
"""
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import project

GROUPS = ("gates", "unit", "conformance", "system", "fuzz")
NIGHTLY = ("replay",)  # by name only
CPUS = os.cpu_count() or 1
RESULT = re.compile(r"^(not )?ok\b(?:\s+(\d+))?(?:\s*-?\s*(.*))?$")
PLAN = re.compile(r"^1\.\.(\d+)")
SKIPPED = re.compile(r"^.*: (\d+) skipped: (.*)$")
COUNTS = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")
TRANSCRIPT = os.path.join(project.ROOT, "tests", "conformance", "transcript.txt")
FUZZ_SECONDS = os.environ.get("THEATER_FUZZ_SECONDS", "20")

SANITIZERS = {
    "ASAN_OPTIONS": "halt_on_error=1:exitcode=99:strict_string_checks=1:check_initialization_order=1",
    "LSAN_OPTIONS": "print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:exitcode=66",
}


class Totals:
    """The sums, and the printing of what is worth reading."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.skips = []

    def ok(self, name):
        self.passed += 1
        print("    ok " + name, flush=True)

    def skip(self, name, reason):
        self.skipped += 1
        self.skips.append("%s: %s" % (name, reason))
        print("  skip %s: %s" % (name, reason), flush=True)

    def fail(self, name, details):
        self.failed += 1
        self.failures.append(name)
        print("FAILED %s" % name)
        for line in list(details)[-60:]:
            print("       | " + line)
        sys.stdout.flush()


class Job:
    """One program to run: argv, extra environment, limit in seconds, how to read its output."""

    def __init__(self, name, argv, env=None, limit=600, read=None):
        self.name, self.argv, self.env, self.limit = name, argv, env or {}, limit
        self.read = read or read_tap
        self.code, self.out, self.err, self.seconds = None, "", "", 0.0

    def run(self):
        env = dict(os.environ)
        for name, value in SANITIZERS.items():
            env.setdefault(name, value)
        env.update(self.env)
        start = time.monotonic()
        try:
            process = subprocess.Popen(self.argv, cwd=project.ROOT, env=env, text=True,
                                       errors="replace", stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       start_new_session=True)
        except OSError as error:
            self.err, self.code = str(error), 127
            return self
        try:
            self.out, self.err = process.communicate(timeout=self.limit)
            self.code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            self.out, self.err = process.communicate()
            self.code = "the limit of %d s passed" % self.limit
        self.seconds = time.monotonic() - start
        return self

    def ending(self):
        if isinstance(self.code, str):
            return self.code
        if self.code < 0:
            return "ended by signal %d" % -self.code
        return "exit code %d" % self.code

    def tail(self, lines=40):
        return (self.out.splitlines()[-10:] + self.err.splitlines()[-lines:]) or ["(no output)"]


def read_tap(job, totals):
    """Adds the results of one TAP program."""
    comments, results, failed, plan = [], 0, 0, None
    for line in job.out.splitlines():
        result, planned = RESULT.match(line), PLAN.match(line)
        if planned:
            plan = int(planned.group(1))
        elif line.startswith("#"):
            comments.append(line[1:].strip())
        elif result:
            results += 1
            name, _, directive = (result.group(3) or "").partition("# SKIP")
            full = "%s: %s" % (job.name, name.strip())
            if result.group(1):
                failed += 1
                totals.fail(full, comments + job.err.splitlines()[-20:])
            elif "# SKIP" in line:
                totals.skip(full, directive.strip())
            else:
                totals.passed += 1
            comments = []
    if job.code != 0 and not failed:
        totals.fail("%s: %s" % (job.name, job.ending()), comments + job.tail())
    elif plan is None or plan != results:
        totals.fail("%s: %d results, planned %s" % (job.name, results, plan), job.tail())
    elif not failed:
        print("    ok %s (%d, %.1f s)" % (job.name, results, job.seconds), flush=True)


def run_all(jobs, totals, workers):
    with concurrent.futures.ThreadPoolExecutor(max(workers, 1)) as pool:
        for future in concurrent.futures.as_completed([pool.submit(job.run) for job in jobs]):
            job = future.result()
            job.read(job, totals)


def heading(text):
    print("== %s" % text, flush=True)


def build(preset, totals):
    """Configures and builds a preset. Gives whether it worked."""
    heading("build " + preset)
    for argv in (["cmake", "--preset", preset],
                 ["cmake", "--build", "build/" + preset, "-j", str(CPUS)]):
        job = Job("build " + preset, argv, limit=1800).run()
        if job.code != 0:
            lines = (job.out + job.err).splitlines()
            start = next((i for i, l in enumerate(lines) if "error" in l.lower()), len(lines) - 40)
            totals.fail("build %s: %s" % (preset, job.ending()), lines[max(start - 2, 0):][:60])
            return False
    totals.ok("build " + preset)
    return True


def plain_addresses():
    """GCC 12's thread sanitizer cannot start with the address randomisation of newer kernels;
    setarch turns that off for one program."""
    probe = subprocess.run(["setarch", "-R", "true"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
    return ["setarch", "-R"] if probe.returncode == 0 else []


def gates(quick):
    names = ["format", "rooms", "headers", "sources", "docs", "examples"]
    if not quick:
        names.append("tidy")
    return [Job(name, ["script/check-" + name], limit=900) for name in names
            if os.path.isfile(os.path.join(project.ROOT, "script", "check-" + name))]


def unit(preset):
    prefix = plain_addresses() if preset == "tsan" else []
    suppressions = os.path.join(project.ROOT, "tests", "tsan.supp")
    env = {}
    if preset == "tsan" and os.path.isfile(suppressions):
        env["TSAN_OPTIONS"] = SANITIZERS["TSAN_OPTIONS"] + ":suppressions=" + suppressions
    sources = {os.path.basename(os.path.dirname(p)) + "_" + os.path.basename(p)[:-2]
               for p in project.files("_test.c", under=("tests/unit",))}
    return [Job("%s (%s)" % (name, preset),
                prefix + ["build/%s/bin/unit_%s" % (preset, name)], env=env, limit=600)
            for name in sorted(sources)]


# Seeds of the simulation; script/sim runs as many as wanted.
SIM_SEEDS = {"dev": "200", "release": "600"}


def simulation(preset):
    if preset not in SIM_SEEDS:
        return []
    return [Job("simulation (%s)" % preset,
                ["build/%s/bin/theater-sim" % preset, "--seeds", SIM_SEEDS[preset]], limit=600)]


def shared_tests():
    folder = os.path.join(os.path.dirname(project.ROOT), "shared", "tests")
    folder = os.environ.get("THEATER_SHARED_TESTS", folder)
    return folder if os.path.isdir(folder) else None


# Shared guests, and what the driver must print for them: the transcript that is theirs, or one of
# tests/conformance/transcripts. Two of them are built on WASI.
SHARED_GUESTS = {
    "c-freestanding/actor": "expected.txt", "rust/actor": "expected.txt",
    "c-wasi/actor": "expected.txt", "rust/actor.wasi": "expected.txt",
    "assemblyscript/actor": "expected.txt", "composed/composed": "composed/expected.txt",
    "wat/flat": None, "wat/flat-mm": None}


def conformance(totals, presets):
    """The suites, and the guests' transcript, from the data that lies beside the checkout."""
    os.makedirs(os.path.join(project.ROOT, "build", "system-cache"), exist_ok=True)
    guests = os.path.join(project.ROOT, "tests", "guests")
    jobs = [transcript_job(name, preset, os.path.join(guests, name, "guest.wasm"), TRANSCRIPT)
            for preset in presets for name in ("rust", "assemblyscript")]
    if "release" in presets:
        jobs += quickjs_job(totals)
    shared = shared_tests()
    if shared is None:
        totals.skip("conformance suites", "not beside the checkout (THEATER_SHARED_TESTS)")
        return jobs
    for preset in presets:
        jobs += [suite_job(name, files, preset, tier)
                 for name, files in suites(shared) for tier in tiers()]
        for guest, expected in SHARED_GUESTS.items():
            own = os.path.join(project.ROOT, "tests", "conformance", "transcripts",
                               os.path.basename(guest) + ".txt")
            jobs.append(transcript_job(
                "shared " + guest, preset,
                os.path.join(shared, "guests", guest + ".component.wasm"),
                own if expected is None else os.path.join(shared, "guests", expected)))
    return jobs


def tiers():
    """Options of theater-conformance, for each tier of code that there is here."""
    has_quick = os.uname().machine == "x86_64" and shutil.which("tcc") is not None
    return [[], ["--quick"]] if has_quick else [[]]


def quickjs_job(totals):
    """The guest in JavaScript, which is too large to be committed, where it can be built."""
    component = os.path.join(project.ROOT, "build", "guests", "quickjs-transcript.wasm")
    os.makedirs(os.path.dirname(component), exist_ok=True)
    made = subprocess.run(["script/build-guest", "tests/guests/quickjs", component],
                          cwd=project.ROOT, capture_output=True, text=True, check=False)
    if made.returncode == 77:
        totals.skip("conformance scripted-guest quickjs", made.stderr.strip())
    elif made.returncode != 0:
        totals.fail("tests/guests/quickjs builds", made.stderr.splitlines())
    else:
        return [transcript_job("quickjs", "release", component, TRANSCRIPT)]
    return []


def conformance_program(name, preset):
    return ["build/%s/bin/theater-%s" % (preset, name), "--cache", "build/system-cache/theater"]


def suites(shared):
    """Names of the suites with their test files; packed ones are unpacked into build/."""
    yield "zoo", sorted(glob.glob(os.path.join(shared, "zoo", "json-*", "*.json")))
    for archive in sorted(glob.glob(os.path.join(shared, "*-spec.tar.xz"))):
        name = os.path.basename(archive)[:-len(".tar.xz")]
        status = os.stat(archive)
        folder = os.path.join(project.ROOT, "build", "suites",
                              "%s-%d-%d" % (name, status.st_size, status.st_mtime))
        if not os.path.isdir(folder):
            partial = folder + ".partial"
            shutil.rmtree(partial, ignore_errors=True)
            with tarfile.open(archive) as tar:
                tar.extractall(partial)
            os.rename(partial, folder)
        files = glob.glob(os.path.join(folder, name, "json", "**", "*.json"), recursive=True)
        yield name, sorted(f for f in files if os.path.basename(f) != "manifest.json")


def suite_job(name, files, preset, tier):
    return Job("conformance %s (%s)" % (" ".join([name] + tier), preset),
               conformance_program("conformance", preset) + tier + files, limit=1200,
               read=read_suite)


def read_suite(job, totals):
    """Adds what theater-conformance counted, with the reasons of what it skipped."""
    counts = COUNTS.findall(job.out)
    lines = job.out.splitlines()
    if not counts:
        totals.fail("%s: no result, %s" % (job.name, job.ending()), job.tail())
        return
    passed, failed, skipped = (int(n or 0) for n in counts[-1])
    reasons = collections.Counter()
    for line in lines:
        match = SKIPPED.match(line)
        if match:
            reasons[match.group(2)] += int(match.group(1))
    totals.passed += passed
    totals.skipped += skipped
    totals.skips += ["%s: %d: %s" % (job.name, n, reason) for reason, n in reasons.most_common()]
    if failed or job.code != 0:
        details = [line for line in lines if line.startswith("FAILED")]
        totals.fail("%s: %d failed, %s" % (job.name, failed, job.ending()),
                    details or job.tail())
        totals.failed += max(failed - 1, 0)
    else:
        print("    ok %s (%d passed, %d skipped, %.1f s)" % (job.name, passed, skipped,
                                                            job.seconds), flush=True)


def transcript_job(name, preset, component, expected):
    return Job("conformance scripted-guest %s (%s)" % (name, preset),
               conformance_program("scripted-guest", preset) + [component],
               read=transcript_reader(expected))


def transcript_reader(expected_path):
    def read(job, totals):
        with open(expected_path, encoding="utf-8") as file:
            expected = file.read().splitlines()
        actual = job.out.splitlines()
        different = next((i for i in range(max(len(expected), len(actual)))
                          if expected[i:i + 1] != actual[i:i + 1]), None)
        if job.code == 0 and different is None:
            totals.ok("%s (%.1f s)" % (job.name, job.seconds))
            return
        details = job.err.splitlines()[-20:]
        if different is not None:
            details += ["line %d: expected %s" % (different + 1, expected[different:different + 1]),
                        "line %d: got      %s" % (different + 1, actual[different:different + 1])]
        totals.fail("%s: %s" % (job.name, job.ending()), details)
    return read


def system(preset, only=None):
    paths = sorted(glob.glob(os.path.join(project.ROOT, "tests", "system", "test_*.py")))
    env = {"THEATER_BIN": os.path.join(project.ROOT, "build", preset, "bin", "theater"),
           "THEATER_BUILD": preset}
    return [Job("system %s (%s)" % (os.path.basename(p)[5:-3], preset),
                [sys.executable, os.path.relpath(p, project.ROOT)], env=env, limit=900)
            for p in paths if only is None or os.path.basename(p)[5:-3] in only]


def run_groups(groups, quick, totals):
    presets = ["dev"] if quick else ["dev", "tsan", "release"]
    if "unit" not in groups:
        presets = [p for p in presets if p != "tsan"]
    if groups == ["fuzz"]:
        presets = []
    built = [preset for preset in presets if build(preset, totals)]
    if "gates" in groups:
        heading("gates")
        run_all(gates(quick), totals, 1)
    if "unit" in groups:
        for preset in built:
            heading("unit tests, " + preset)
            run_all(unit(preset) + simulation(preset), totals, CPUS)
    if "conformance" in groups:
        heading("conformance")
        run_all(conformance(totals, [p for p in built if p != "tsan"]), totals, 1)
    if "system" in groups:
        heading("system tests")
        if "dev" in built:
            run_all(system("dev"), totals, 1)
        if "release" in built:
            run_all(system("release", ("actor", "chain", "hostile")), totals, 1)
    if "replay" in groups and "dev" in built:
        heading("replay of what the system tests record")
        run_all([Job("replay", ["script/replay-all", "--record"], limit=7200)], totals, 1)
    if "fuzz" in groups and not quick:
        heading("fuzz, %s s each" % FUZZ_SECONDS)
        run_all([Job("fuzz", ["script/fuzz", FUZZ_SECONDS], limit=2400)], totals, 1)


def main():
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    groups = [a for a in arguments if a != "--quick"]
    for group in groups:
        if group not in GROUPS + NIGHTLY:
            sys.exit("script/test: unknown group '%s' (groups: %s)" % (
                group, " ".join(GROUPS + NIGHTLY)))
    totals = Totals()
    start = time.monotonic()
    run_groups(groups or list(GROUPS), quick, totals)
    print("== summary after %d s" % (time.monotonic() - start))
    for skip in totals.skips:
        print("  skip " + skip)
    for failure in totals.failures:
        print("FAILED " + failure)
    sys.stdout.flush()
    print("%d passed, %d failed, %d skipped" % (totals.passed, totals.failed, totals.skipped))
    sys.exit(1 if totals.failed else 0)


main()
