"""Starts the authorization server and what stands in front of the API, and stops
what it started.

`$QUICKSTART`, `$GATEWAY`, `$PYTHON_NEIGHBOUR` and `$NGINX` are the paths of the
examples and of nginx; `tests/run interop` builds or finds them and sets the variables.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests
from authorization_server import CLIENTS, DEFAULT_AUDIENCE

# The fixtures for the embedded authorization server.
pytest_plugins = ["embedded"]

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


class Quickstart(Server):
    def described(self, response):
        """The token, as the API behind the protector saw it."""
        return response.json()


class Gateway(Server):
    def described(self, response):
        token = response.json()["token"]
        del token["expires_at"], token["claims"]
        return token


class Nginx(Server):
    """It says nothing when it is ready, so it is asked."""

    def __init__(self, port, process, output):
        self.port = port
        super().__init__(process, output)

    def _wait_until_ready(self):
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return f"http://127.0.0.1:{self.port}"
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise RuntimeError(f"nginx is not ready:\n{self.output()}")


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
    return running(Quickstart, [binary("QUICKSTART")], **settings | environment)


def gateway_file(issuer, top="", client_secret=CLIENTS["api"].secret, remember_seconds=60):
    """Both kinds of tokens of one issuer, and the routes of the quickstart."""
    quoted = lambda text: json.dumps(text, ensure_ascii=False)  # a TOML string, too
    return f"""
listen = "127.0.0.1:0"
{top}

[resource]
identifier = {quoted(DEFAULT_AUDIENCE)}
realm = "gateway"

[[issuer]]
issuer = {quoted(issuer.url)}
kind = "jwt"

[[issuer]]
issuer = {quoted(issuer.url)}
kind = "introspection"
client_id = "api"
client_secret = {quoted(client_secret)}
cache_seconds = {remember_seconds}

[[route]]
path = "/"
public = true

[[route]]
path = "/me"
scope = "profile"

[[route]]
path = "/admin"
scope = "admin"
"""


@contextmanager
def gateway_process(issuer, top="", **environment):
    """Takes the settings of the quickstart, so that the same tests run against both.
    It has no key for the cooldown of key fetches; the default has to do."""
    environment.pop("JWKS_COOLDOWN_SECONDS", None)
    text = gateway_file(
        issuer,
        top,
        environment.pop("CLIENT_SECRET", CLIENTS["api"].secret),
        environment.pop("REMEMBER_SECONDS", "60"),
    )
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        with running(Gateway, [binary("GATEWAY"), file.name], **environment) as server:
            yield server


@contextmanager
def nginx_process(server_block, port):
    """nginx with this `server` block, in a folder of its own."""
    with tempfile.TemporaryDirectory() as prefix:
        kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        temporary = "".join(f"{kind}_temp_path {prefix}/{kind};\n" for kind in kinds)
        conf = Path(prefix, "nginx.conf")
        conf.write_text(
            f"daemon off;\nmaster_process off;\npid {prefix}/nginx.pid;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}{server_block}\n}}\n"
        )
        # `-e`: until it has read the file it would log where it was compiled to.
        command = [binary("NGINX"), "-p", prefix, "-c", str(conf), "-e", "stderr"]
        with running(partial(Nginx, port), command) as server:
            yield server


def binary(variable):
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        pytest.exit(f"{variable} must be the path of a program, not {path!r}", 2)
    return path


IN_FRONT = {"quickstart": quickstart_process, "gateway": gateway_process}


@pytest.fixture(scope="session")
def issuer():
    """Shared by the tests that leave it as they found it."""
    with issuer_process() as server:
        yield server


@pytest.fixture(scope="session", params=IN_FRONT)
def api(request, issuer):
    """What is in front of the API, with nothing but its required settings."""
    with IN_FRONT[request.param](issuer) as server:
        yield server


@pytest.fixture
def start_issuer():
    with ExitStack() as started:
        yield lambda *arguments: started.enter_context(issuer_process(*arguments))


@pytest.fixture(params=IN_FRONT)
def start_api(request):
    process = IN_FRONT[request.param]
    with ExitStack() as started:
        yield lambda issuer, **environment: started.enter_context(process(issuer, **environment))
