"""Starts the authorization server and the quickstart, and stops what it started.

`$QUICKSTART` is the path of the quickstart binary; `tests/run interop` builds it
and sets the variable.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from authorization_server import CLIENTS, DEFAULT_AUDIENCE

HERE = Path(__file__).parent
STARTUP_SECONDS = 15
READY = "listening on "

# Everything here is on loopback: a proxy meant for the outside must not see it.
http = requests.Session()
http.trust_env = False


def pytest_configure():
    # Being told to end is no reason to leave servers behind: fixtures are undone.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 143))


class Server:
    """A running process that has said where it listens."""

    def __init__(self, process, output):
        self.process = process
        self._output = output
        self.url = self._wait_until_ready()

    def output(self):
        return Path(self._output.name).read_text(errors="replace")

    def _wait_until_ready(self):
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            # Only whole lines: the last one may still be in the writing.
            for line in self.output().split("\n")[:-1]:
                if line.startswith(READY):
                    return line.removeprefix(READY).strip()
            time.sleep(0.02)
        raise RuntimeError(f"{self.process.args[0]} is not ready:\n{self.output()}")

    def get(self, path, token=None, **headers):
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return http.get(self.url + path, headers=headers, timeout=20)

    def post(self, path, **options):
        return http.post(self.url + path, timeout=10, **options)


class Issuer(Server):
    """The authorization server, as its clients and these tests talk to it."""

    def tokens(self, client, grant_type="client_credentials", scope="profile", **form):
        answer = self.post(
            "/token",
            data={"grant_type": grant_type, "scope": scope, **form},
            auth=(client, CLIENTS[client].secret),
        )
        answer.raise_for_status()
        return answer.json()

    def token(self, client, **form):
        return self.tokens(client, **form)["access_token"]

    def user_tokens(self, client, **form):
        user = {"username": "alice", "password": "wonderland"}
        return self.tokens(client, grant_type="password", **user, **form)

    def minted(self, header=None, **claims):
        changes = {"header": header or {}, "claims": claims}
        return self._control("mint", json=changes).text

    def revoke(self, client, token):
        secret = CLIENTS[client].secret
        self.post("/revoke", data={"token": token}, auth=(client, secret)).raise_for_status()

    def rotate(self):
        self._control("rotate")

    def withdraw_old_keys(self):
        self._control("withdraw")

    @contextmanager
    def outage(self):
        self._control("outage/on")
        try:
            yield
        finally:
            self._control("outage/off")

    def calls(self, endpoint):
        return self.get("/control/counters").json()[endpoint]

    def _control(self, path, **options):
        answer = self.post(f"/control/{path}", **options)
        answer.raise_for_status()
        return answer


@contextmanager
def running(kind, command, **environment):
    """A server for as long as the block lasts, whatever happens inside it."""
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "NO_PROXY": "127.0.0.1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield kind(process, output)
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # Shown by pytest when the test fails.
            sys.stdout.write(f"--- {command[0]}\n{Path(output.name).read_text(errors='replace')}")


def issuer_process(*arguments):
    command = [sys.executable, str(HERE / "authorization_server.py"), *arguments]
    return running(Issuer, command)


def quickstart_process(issuer, **environment):
    settings = {
        "ISSUER": issuer.url,
        "AUDIENCE": DEFAULT_AUDIENCE,
        "CLIENT_ID": "api",
        "CLIENT_SECRET": CLIENTS["api"].secret,
        "LISTEN": "127.0.0.1:0",
    }
    return running(Server, [quickstart_binary()], **settings | environment)


def quickstart_binary():
    path = os.environ.get("QUICKSTART")
    if not path or not os.access(path, os.X_OK):
        pytest.exit(f"QUICKSTART must be the path of the quickstart binary, not {path!r}", 2)
    return path


@pytest.fixture(scope="session")
def issuer():
    """Shared by the tests that leave it as they found it."""
    with issuer_process() as server:
        yield server


@pytest.fixture(scope="session")
def api(issuer):
    """The quickstart with nothing but its required settings."""
    with quickstart_process(issuer) as server:
        yield server


@pytest.fixture
def start_issuer():
    with ExitStack() as started:
        yield lambda *arguments: started.enter_context(issuer_process(*arguments))


@pytest.fixture
def start_api():
    with ExitStack() as started:
        yield lambda issuer, **environment: started.enter_context(
            quickstart_process(issuer, **environment)
        )
