"""The gateway behind nginx's `auth_request`, as its README says to set it up."""

import http.client
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import gateway_process, nginx_process
from werkzeug.datastructures import WWWAuthenticate

README = Path(__file__).parents[2] / "examples/gateway/README.md"
IDENTITY = {"Subject", "Client-Id", "Issuer", "Scopes", "Expires-At"}


class Api(BaseHTTPRequestHandler):
    """The service behind nginx: says what it was asked."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = {"path": self.path, "body": body, "headers": self.headers.items()}
        answer = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def upstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def gateway(issuer):
    with gateway_process(issuer, top="forward_auth = true") as server:
        yield server


def server_block(gateway, upstream, port):
    [snippet] = re.findall(r"^```nginx\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    for theirs, ours in [
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ("127.0.0.1:9000", upstream),
        ("127.0.0.1:8080", urlsplit(gateway.url).netloc),
    ]:
        assert snippet.count(theirs) == 1
        snippet = snippet.replace(theirs, ours)
    return snippet


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def nginx(gateway, upstream):
    port = free_port()
    with nginx_process(server_block(gateway, upstream, port), port) as server:
        yield server


def ask(nginx, target, token=None, method="GET", headers=(), body=None):
    """By hand: other clients tidy up targets, and merge headers of one name."""
    connection = http.client.HTTPConnection(urlsplit(nginx.url).netloc, timeout=10)
    try:
        connection.putrequest(method, target)
        if token:
            connection.putheader("Authorization", f"Bearer {token}")
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        response.text = response.read().decode()
        return response
    finally:
        connection.close()


def seen(response, prefix=""):
    """The headers that the service was sent, those with this prefix."""
    assert response.status == 200, response.text
    headers = json.loads(response.text)["headers"]
    return [(name, value) for name, value in headers if name.startswith(prefix)]


@pytest.mark.parametrize("client", ["jwt-app", "opaque-app"])
def test_a_good_token_passes_nginx_and_the_service_is_told_whose_it_is(issuer, nginx, client):
    token = issuer.user_tokens(client, scope="profile email")["access_token"]
    response = ask(nginx, "/me?a=b", token, "POST", body=b"hello")
    identity = dict(seen(response, "X-Auth-"))
    assert identity.pop("X-Auth-Expires-At").isdigit()
    assert sorted(identity.pop("X-Auth-Scopes").split(" ")) == ["email", "profile"]
    assert identity == {
        "X-Auth-Subject": "alice",
        "X-Auth-Client-Id": client,
        "X-Auth-Issuer": issuer.url,
    }
    assert seen(response, "Authorization") == []
    said = json.loads(response.text)
    assert (said["path"], said["body"]) == ("/me?a=b", "hello")


def test_identity_headers_of_a_client_never_reach_the_service(issuer, nginx):
    for name in IDENTITY:
        spoofed = [(f"X-Auth-{name}", "spoofed"), (f"x_auth_{name}", "spoofed")]
        response = ask(nginx, "/me", issuer.token("jwt-app"), headers=spoofed)
        assert len(seen(response, "X-Auth-")) == len(IDENTITY)
        assert "spoofed" not in response.text
        # Nobody in particular: then there is nothing instead of it.
        response = ask(nginx, "/open", headers=spoofed)
        assert seen(response, "X-Auth-") == []
        assert "spoofed" not in response.text


def test_without_a_token_nginx_passes_the_challenge_on(nginx):
    response = ask(nginx, "/me")
    assert response.status == 401
    challenge = WWWAuthenticate.from_header(response.headers["WWW-Authenticate"])
    assert (challenge.type, challenge["realm"], challenge["scope"]) == ("bearer", "gateway", "profile")
    response = ask(nginx, "/me", "garbage")
    assert response.status == 401
    challenge = WWWAuthenticate.from_header(response.headers["WWW-Authenticate"])
    assert challenge["error"] == "invalid_token"


@pytest.mark.parametrize("client", ["jwt-app", "opaque-app"])
def test_without_the_scope_it_is_403(issuer, nginx, client):
    assert ask(nginx, "/admin", issuer.token(client)).status == 403
    assert ask(nginx, "/admin", issuer.token(client, scope="admin")).status == 200


@pytest.mark.parametrize(
    "spoofed",
    [
        [("X-Original-URI", "/open")],
        [("X-Original-Method", "GET"), ("X-Original-URI", "/open")],
        [("X-Forwarded-Uri", "/open")],
        [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/open")],
        [("X-Original-URL", "/open"), ("X-Rewrite-URL", "/open")],
    ],
)
def test_a_client_cannot_be_judged_for_another_path_than_it_asks_for(issuer, nginx, spoofed):
    assert ask(nginx, "/open").status == 200
    assert ask(nginx, "/me", headers=spoofed).status == 401
    assert ask(nginx, "/admin", issuer.token("jwt-app"), headers=spoofed).status == 403
    # Nor is it kept out by what it sends.
    assert ask(nginx, "/me", issuer.token("jwt-app"), headers=spoofed).status == 200


def test_an_nginx_that_hands_on_both_pairs_lets_nobody_in(issuer, gateway, upstream):
    port = free_port()
    block = server_block(gateway, upstream, port)
    block, removed = re.subn(r'proxy_set_header X-Forwarded-\w+ +"";', "", block)
    assert removed == 2
    with nginx_process(block, port) as careless:
        token = issuer.token("jwt-app")
        assert ask(careless, "/me", token).status == 200
        for spoofed in ["X-Forwarded-Uri", "X-Forwarded-Method"]:
            assert ask(careless, "/me", token, headers=[(spoofed, "/open")]).status == 500


@pytest.mark.parametrize(
    ("target", "status"),
    [
        # Decoded once, as nginx does.
        ("/%6De", 401),
        ("/adm%69n", 403),
        ("/admin/", 403),
        ("/admin?/open", 403),
        # What nginx would tidy up is not judged at all, and nginx makes that 500.
        ("/open/../admin", 500),
        ("/open/%2e%2e/admin", 500),
        ("/open%2F..%2Fadmin", 500),
        ("//admin", 500),
        ("/open;/admin", 500),
        ("/admin%2500", 500),
    ],
)
def test_no_spelling_of_a_path_leads_around_its_route(issuer, nginx, target, status):
    token = issuer.token("jwt-app") if "adm" in target else None
    assert ask(nginx, target, token).status == status


def test_the_gateway_itself_cannot_be_asked_through_nginx(issuer, nginx):
    assert ask(nginx, "/_gateway", issuer.token("jwt-app", scope="admin")).status == 404
