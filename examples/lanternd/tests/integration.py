#!/usr/bin/env python3
"""Runs the real daemon with its plugins, and talks to it.

    tests/integration.py [--wrapper 'valgrind -q --error-exitcode=7'] [CHECK...]
    VALGRIND=1 tests/integration.py

All checks, or those named. One line a check; exit status 0 if all passed, 1 if one failed. The wrapper is
put in front of every start of the daemon. VALGRIND=1 runs every daemon with its
plugins under valgrind: options come from VALGRIND_OPTS, and without it errors
fail the check that made them. Python's standard library only.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DAEMON = os.path.join(ROOT, "lanternd", "lanternd")
CLI = os.path.join(ROOT, "cli", "lantern-cli")
PLUGINS = os.path.join(ROOT, "plugins")
PATIENCE = 60  # seconds; generous, for slow machines and valgrind

VALGRIND = ["valgrind", "-q", "--trace-children=yes", "--error-exitcode=7"]
WRAPPER = []
CHECKS = []


def check(fn):
    CHECKS.append(fn)
    return fn


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.02)


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual!r} is not {expected!r}")


class Client:
    """A connection which sends and receives lines."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.lines.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def request(self, method, **params):
        self.last_id += 1
        self.send(json.dumps({"id": self.last_id, "method": method,
                              "params": params}).encode() + b"\n")
        answer = self.receive()
        equal(answer["id"], self.last_id)
        return answer

    def call(self, method, **params):
        answer = self.request(method, **params)
        if "result" not in answer:
            raise AssertionError(f"{method}: {answer}")
        return answer["result"]

    def error(self, method, **params):
        return self.request(method, **params)["error"]["code"]


class Daemon:
    """A running daemon; always gone at the end."""

    def __init__(self, directory, *options):
        # A socket's path has to be short.
        self.path = os.path.join(directory, "sock")
        self.log_path = os.path.join(directory, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                WRAPPER + [DAEMON, "--socket", self.path, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        try:
            wait_for(self.answers, "the daemon answers")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, exc_type, *exc):
        if exc_type:
            self.kill()
        else:
            self.stop()

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended: {self.log()}")
        try:
            with self.client() as client:
                return client.call("ping") == "pong"
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def client(self):
        return Client(self.path)

    def cli(self, *args):
        return subprocess.run([CLI, "--socket", self.path, *args],
                              stdin=subprocess.DEVNULL, timeout=PATIENCE,
                              capture_output=True, text=True, check=False)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the daemon does not stop") from None
        if status != 0:
            raise AssertionError(f"ended with {status}: {self.log()}")
        if os.path.exists(self.path):
            raise AssertionError("the socket was left behind")


@contextlib.contextmanager
def copied_plugins(directory):
    target = os.path.join(directory, "plugins")
    os.mkdir(target)
    for name in os.listdir(PLUGINS):
        path = os.path.join(PLUGINS, name)
        if os.path.isfile(path) and (os.access(path, os.X_OK)
                                     or name == "plugins.sha256"):
            shutil.copy(path, target)
    yield target


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@check
def lamps(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        equal(c.call("list"), [])
        lamp = c.call("add", name="desk", watts=7, tags=["office"])
        equal(lamp, {"name": "desk", "watts": 7, "lit": False,
                     "colour": "#ffffff", "tags": ["office"]})
        equal(c.error("add", name="desk"), 2)
        equal(c.error("add", name="no/name"), -32602)
        equal(c.error("add", name="x", watts=70000), -32602)
        equal(c.call("set", name="desk", lit=True)["lit"], True)
        c.call("add", name="attic")
        equal([x["name"] for x in c.call("list")], ["attic", "desk"])
        equal([x["name"] for x in c.call("list", tag="office")], ["desk"])
        equal(c.call("getinfo")["lit"], 1)
        c.call("del", name="attic")
        equal(c.error("get", name="attic"), 1)


@check
def plugin_methods(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        plugins = c.call("list-plugins")
        equal(sorted(p["name"] for p in plugins),
              ["colour", "http", "schedule"])
        equal({p["state"] for p in plugins}, {"ready"})
        equal(c.call("colour-mix", a="#000000", b="#ffffff"), "#808080")
        equal(c.call("schedule-until", now="23:00", at="01:30"),
              {"minutes": 150})
        equal(c.error("colour-name", colour="reddish"), -32602)
        equal(c.error("no-such-method"), -32601)


@check
def http_status(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        c.call("add", name="desk", lit=True)
        base = f"http://127.0.0.1:{c.call('http-start')['port']}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(base + "/status", timeout=PATIENCE) as answer:
            status = json.load(answer)
        equal((status["lamps"], status["lit"]), (1, 1))
        try:
            opener.open(base + "/other", timeout=PATIENCE).close()
            raise AssertionError("/other was found")
        except urllib.error.HTTPError as e:
            equal(e.code, 404)
            e.close()
        equal(c.call("http-stop"), {"stopped": True})
        equal(c.call("http-status")["running"], False)


@check
def command_line_client(directory):
    with Daemon(directory) as daemon:
        equal(daemon.cli("ping").stdout, "pong\n")
        answer = daemon.cli("add", "name=desk", 'tags=["a"]', "colour=#ffbf00")
        equal(json.loads(answer.stdout)["tags"], ["a"])
        equal(daemon.cli("get", '{"name": "desk"}').returncode, 0)
        answer = daemon.cli("get", "name=none")
        equal((answer.returncode, answer.stdout), (1, ""))
        equal(daemon.cli("get", "nonsense").returncode, 2)
        equal(daemon.cli().returncode, 2)
        equal(daemon.cli("stop").stdout, "stopping\n")
        daemon.stop()
        equal(daemon.cli("ping").returncode, 3)


@check
def bad_requests(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        for line, code in [(b"{", -32700), (b"\xff", -32700),
                           (b"[1]", -32600), (b"{}", -32600),
                           (b'{"method":1}', -32600),
                           (b'{"id":[],"method":"ping"}', -32600),
                           (b'{"method":"ping","params":[]}', -32602)]:
            c.send(line + b"\n")
            equal(c.receive()["error"]["code"], code)
        equal(c.call("ping"), "pong")
        equal(c.call("events")[-1]["event"], "request-refused")


@check
def pieces_and_pipelines(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        for byte in b'{"id":"x","method":"ping"}\r\n':
            c.send(bytes([byte]))
        equal(c.receive(), {"id": "x", "result": "pong"})
        c.send(b"".join(b'{"id":%d,"method":"echo","params":{"n":%d}}\n'
                        % (i, i) for i in range(500)))
        for i in range(500):
            equal(c.receive(), {"id": i, "result": {"n": i}})
        # What was asked before hanging up is still answered.
        c.send(b'{"id":1,"method":"colour-name",'
               b'"params":{"colour":"#ff0000"}}\n')
        c.socket.shutdown(socket.SHUT_WR)
        equal(c.receive(), {"id": 1, "result": "red"})
        equal(c.receive(), None)


@check
def oversize_requests(directory):
    with Daemon(directory, "--max-request", "1000") as daemon:
        with daemon.client() as c:
            equal(c.call("echo", text="x" * 900)["text"], "x" * 900)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                c.send(b'{"method":"' + b"x" * 200000)
            equal(c.receive()["error"]["code"], 5)
            equal(c.receive(), None)
        with daemon.client() as c:
            equal(c.call("ping"), "pong")


@check
def concurrent_clients(directory):
    failures = []

    def work(daemon, number):
        try:
            with daemon.client() as c:
                for i in range(20):
                    name = f"lamp-{number}-{i}"
                    c.call("add", name=name, watts=i)
                    equal(c.call("get", name=name)["watts"], i)
                    equal(c.call("schedule-lit", at="12:00", **{
                        "from": "08:00", "to": "20:00"}), True)
        except Exception as e:  # reported by the main thread
            failures.append(e)

    with Daemon(directory) as daemon:
        threads = [threading.Thread(target=work, args=(daemon, n))
                   for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [])
        with daemon.client() as c:
            equal(c.call("getinfo")["lamps"], 240)


@check
def too_many_clients(directory):
    with Daemon(directory, "--max-clients", "3") as daemon:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(daemon.client()) for _ in range(2)]
            wait_for(lambda: clients[0].call("getinfo")["clients"] == 2,
                     "two clients")
            clients.append(stack.enter_context(daemon.client()))
            equal(clients[2].call("ping"), "pong")
            extra = stack.enter_context(daemon.client())
            equal(extra.receive(), None)
            equal(clients[0].call("ping"), "pong")


@check
def killed_plugin(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        def plugin():
            return next(p for p in c.call("list-plugins")
                        if p["file"] == "lantern-colour")

        os.kill(plugin()["pid"], signal.SIGKILL)
        wait_for(lambda: plugin()["state"] == "dead", "the plugin is dead")
        equal(c.error("colour-name", colour="#ff0000"), -32601)
        equal(c.call("schedule-until", now="00:00", at="00:01"),
              {"minutes": 1})


@check
def stopped_plugin_times_out(directory):
    with Daemon(directory, "--plugin-timeout", "5000") as daemon, \
            daemon.client() as c:
        pid = next(p["pid"] for p in c.call("list-plugins")
                   if p["name"] == "colour")
        os.kill(pid, signal.SIGSTOP)
        try:
            equal(c.error("colour-name", colour="#ff0000"), 4)
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: c.request("colour-name", colour="#ff0000").get(
            "result") == "red", "the plugin answers again")


@check
def checksum_mismatch(directory):
    with copied_plugins(directory) as plugins:
        command = WRAPPER + [DAEMON, "--check-plugins", "--plugin-dir", plugins]

        def run():
            return subprocess.run(command, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True,
                                  timeout=PATIENCE, check=False)

        equal(run().returncode, 0)
        with open(os.path.join(plugins, "lantern-schedule"), "ab") as plugin:
            plugin.write(b"\0")
        result = run()
        equal(result.returncode, 3)
        if "checksum mismatch" not in result.stderr:
            raise AssertionError(result.stderr)
        os.remove(os.path.join(plugins, "plugins.sha256"))
        equal(run().returncode, 3)


@check
def state_survives(directory):
    state = os.path.join(directory, "state")
    with Daemon(directory, "--no-plugins", "--state", state) as daemon:
        with daemon.client() as c:
            c.call("add", name="desk", tags=["a", "b"], colour="#123456")
            before = c.call("list")
    with Daemon(directory, "--no-plugins", "--state", state) as daemon:
        with daemon.client() as c:
            equal(c.call("list"), before)
    with open(state, "r+b") as file:
        file.seek(20)
        file.write(b"\xff")
    result = subprocess.run(
        WRAPPER + [DAEMON, "--no-plugins", "--state", state, "--socket",
                   os.path.join(directory, "sock")],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        check=False)
    equal(result.returncode, 1)


@check
def one_daemon_a_socket(directory):
    daemon = Daemon(directory, "--no-plugins")
    try:
        wait_for(daemon.answers, "the daemon answers")
        result = subprocess.run(
            WRAPPER + [DAEMON, "--no-plugins", "--socket", daemon.path],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
            check=False)
        equal(result.returncode, 1)
        with daemon.client() as c:
            equal(c.call("ping"), "pong")
    finally:
        daemon.kill()
    # The socket that was left behind is no obstacle.
    with Daemon(directory, "--no-plugins"):
        pass


@check
def several_daemons(directory):
    with contextlib.ExitStack() as stack:
        daemons = []
        for number in range(3):
            own = os.path.join(directory, str(number))
            os.mkdir(own)
            daemons.append(Daemon(own, "--state", os.path.join(own, "state")))
        for number, daemon in enumerate(daemons):
            stack.enter_context(daemon)
            with daemon.client() as c:
                for lamp in range(number):
                    c.call("add", name=f"lamp-{number}-{lamp}", lit=True)
        for number, daemon in enumerate(daemons):
            with daemon.client() as c:
                equal(c.call("getinfo")["lit"], number)
                equal(len(c.call("list-plugins")), 3)
                equal(c.call("colour-name", colour="#ff0000"), "red")


@check
def clean_stop(directory):
    with Daemon(directory) as daemon, daemon.client() as c:
        pids = [p["pid"] for p in c.call("list-plugins")]
        equal(c.call("stop"), "stopping")
        daemon.stop()
        equal(c.receive(), None)
        equal([pid for pid in pids if alive(pid)], [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wrapper", default="",
                        help="a command to run the daemon under")
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help="a check to run; default: all")
    args = parser.parse_args()
    unknown = set(args.checks) - {fn.__name__ for fn in CHECKS}
    if unknown:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    checks = [fn for fn in CHECKS if not args.checks or fn.__name__ in args.checks]
    WRAPPER.extend(shlex.split(args.wrapper))
    if os.environ.get("VALGRIND") == "1" and not WRAPPER:
        WRAPPER.extend(VALGRIND)

    failed = 0
    for fn in checks:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="lantern-") as directory:
            try:
                fn(directory)
                verdict = "ok"
            except Exception as e:
                verdict = f"FAILED: {type(e).__name__}: {e}"
                failed += 1
        print(f"{fn.__name__}: {verdict} "
              f"({time.monotonic() - started:.2f} s)", flush=True)
    print(f"{len(checks) - failed} of {len(checks)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
