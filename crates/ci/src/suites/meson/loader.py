# Prints what `meson test` knows of each test, as JSON. It runs in the build directory; see meson.rs.
import argparse, json, os, pickle, shlex, sys
from types import SimpleNamespace
sys.path[:0] = [p for p in sys.argv[1:2] if p]
from mesonbuild import build
from mesonbuild.mesonlib import MesonException
from mesonbuild.mtest import TestHarness

# The options of `meson test` that choose tests or change how one runs (mtest.py, `add_arguments`).
parser = argparse.ArgumentParser(prog='meson test', add_help=False)
parser.add_argument('--setup')
parser.add_argument('--suite', default=[], action='append')
parser.add_argument('--no-suite', default=[], action='append')
parser.add_argument('--wrapper', type=shlex.split)
parser.add_argument('-t', '--timeout-multiplier', type=float)
parser.add_argument('--test-args', default=[], type=shlex.split)
parser.add_argument('names', nargs='*')
options, unknown = parser.parse_known_args(sys.argv[2:])
if unknown:
    sys.exit('`args` of a Meson suite cannot have %s; they may have --setup, --suite, --no-suite, --wrapper, '
             '--timeout-multiplier, --test-args and names of tests' % ' '.join(unknown))

with open(os.path.join('meson-private', 'meson_test_setup.dat'), 'rb') as file:
    tests = pickle.load(file)
data = build.load(os.getcwd())
setup_name = options.setup or data.test_setup_default_name


def setup_of(t):
    if not setup_name:
        return None
    full = setup_name if ':' in setup_name else '%s:%s' % (t.project_name, setup_name)
    if full not in data.test_setups:
        known = ', '.join(sorted(data.test_setups)) or 'none'
        sys.exit('Meson has no test setup %s; it has %s' % (full, known))
    found = data.test_setups[full]
    if found.gdb:
        sys.exit('the test setup %s runs tests under gdb' % full)
    if options.wrapper and found.exe_wrapper:
        sys.exit('both --wrapper and the test setup %s run the tests by another program' % full)
    return found


def in_suites(t, suites):
    return TestHarness.test_in_suites(t, suites)


def called(name, among):
    # Meson's own function, since versions differ: names may have wildcards from 1.2 on.
    asked = SimpleNamespace(options=SimpleNamespace(args=[name]))
    try:
        return list(TestHarness.tests_from_args(asked, among))
    except MesonException:
        return []


def selected():
    """Pairs of a test and its setup, as `meson test` selects them (mtest.py, `get_tests`). What selects nothing is an error."""
    left = [t for t in tests if not in_suites(t, options.no_suite)]
    for suite in options.suite:
        if not any(in_suites(t, [suite]) for t in left):
            sys.exit('--suite %s selects no test' % suite)
    if options.suite:
        left = [t for t in left if in_suites(t, options.suite)]
    by_name = [called(name, left) for name in options.names] or [left]
    # Only now, since projects need not have the setup whose tests do not run.
    setups = {id(t): setup_of(t) for found in by_name for t in found}
    # `--suite` wins over what a setup leaves out.
    out = {id(t) for t in left if not options.suite and in_suites(t, getattr(setups.get(id(t)), 'exclude_suites', []))}
    for name, found in zip(options.names, by_name):
        if all(id(t) in out for t in found):
            sys.exit('the name %s selects no test' % name)
    return [(t, setups[id(t)]) for t in left if id(t) in setups and id(t) not in out]


def run_of(t, setup):
    after = setup.env.get_env(dict(before)) if setup else dict(before)
    after = t.env.get_env(after) if hasattr(t.env, 'get_env') else {**after, **t.env}
    env = {k: v for k, v in after.items() if before.get(k) != v}
    # Meson 1.11 calls it expected_fail.
    fails = t.should_fail if hasattr(t, 'should_fail') else t.expected_fail
    if getattr(t, 'expected_exitcode', None):
        sys.exit('%s is to end with exit code %d: declare it as a job with expect-exit' % (t.name, t.expected_exitcode))
    # As `meson test` itself does (mtest.py, `_get_cmd`). Before 0.62, there is no `cmd_is_exe`.
    foreign = getattr(t, 'cmd_is_exe', True) and t.is_cross_built and t.needs_exe_wrapper
    wrapper = list(options.wrapper or (setup and setup.exe_wrapper) or [])
    if foreign and t.exe_wrapper is not None:
        if not t.exe_wrapper.found():
            sys.exit('the exe_wrapper of the cross file was not found')
        wrapper += t.exe_wrapper.get_command()
        env['MESON_EXE_WRAPPER'] = shlex.join(t.exe_wrapper.get_command())
    multiplier = options.timeout_multiplier
    if multiplier is None and setup:
        multiplier = setup.timeout_multiplier
    return {'should_fail': bool(fails), 'env': env, 'unset': sorted(k for k in before if k not in after),
            'wrapper': wrapper, 'args': options.test_args, 'unrunnable': bool(foreign and t.exe_wrapper is None),
            'timeout_multiplier': multiplier}


before = dict(os.environ)
runs = {id(t): run_of(t, setup) for t, setup in selected()}
print(json.dumps([{'name': t.name, 'suite': t.suite, 'run': runs.get(id(t))} for t in tests]))
