"""Starts the embedded authorization server, and goes through its pages without a browser.

`$GRANTS_AND_PROTECTOR`, `$ISSUER_QUICKSTART` and `$LEGACY_GRANTS` are the paths of examples.
"""

import json
import re
import tempfile
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from conftest import Server, binary, running
from joserfc.jwk import ECKey, KeySet

PASSWORD = "correct horse battery staple"
SIGNING_KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
# Nobody listens there: what comes is read off the redirect.
CALLBACK = "http://127.0.0.1:9/callback"


class Embedded(Server):
    """An authorization server and the API behind its protector, in one process."""

    def metadata(self):
        return self.get("/.well-known/oauth-authorization-server").json()

    def me(self, token):
        return self.get("/me", token["access_token"])


class Grants(Embedded):
    """It issues opaque tokens."""

    secret = "a-secret-for-this-example-and-nothing-else"


class LegacyGrants(Embedded):
    """It has the grants that OAuth 2.1 leaves out."""

    secret = Grants.secret


class IssuerQuickstart(Embedded):
    """It issues JWTs."""

    secret = "a-secret-for-the-quickstart-alone"


@contextmanager
def grants_process(callback=CALLBACK):
    with tempfile.TemporaryDirectory() as folder:
        jwks = Path(folder, "jwks.json")
        jwks.write_text(json.dumps(KeySet([SIGNING_KEY]).as_dict(private=False)))
        command = [binary("GRANTS_AND_PROTECTOR")]
        with running(Grants, command, PORT="0", CALLBACK=callback, JWKS=str(jwks)) as server:
            yield server


@contextmanager
def issuer_quickstart_process():
    with tempfile.TemporaryDirectory() as folder:
        files = {"DATABASE": f"{folder}/db", "KEYS": f"{folder}/keys"}
        with running(IssuerQuickstart, [binary("ISSUER_QUICKSTART")], PORT="0", **files) as server:
            yield server


@pytest.fixture(scope="session")
def opaque_server():
    with grants_process() as server:
        yield server


@pytest.fixture(scope="session")
def jwt_server():
    with issuer_quickstart_process() as server:
        yield server


@pytest.fixture(scope="session")
def legacy_server():
    with running(LegacyGrants, [binary("LEGACY_GRANTS")], PORT="0") as server:
        yield server


@pytest.fixture(params=["opaque", "jwt"])
def server(request):
    """What holds for both kinds of tokens is tried with both."""
    return request.getfixturevalue(f"{request.param}_server")


class Page(HTMLParser):
    """What a person does with a page: types, presses a button, or is led on."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields, self.goes_on_to = None, {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes["action"]
        elif tag == "input":
            self.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "meta" and attributes.get("http-equiv") == "refresh":
            self.goes_on_to = re.fullmatch(r"\d+;url=(.*)", attributes["content"])[1]


class Person(requests.Session):
    """Somebody with a browser that keeps cookies."""

    def __init__(self, password=PASSWORD):
        super().__init__()
        self.trust_env = False
        self.password, self.asked = password, []

    def allow(self, url, decision="allow"):
        """Follows a client's link to where it leads back to the client."""
        here = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        answer = self.get(url, allow_redirects=False, timeout=20)
        for _ in range(6):
            if answer.is_redirect:
                url = urljoin(answer.url, answer.headers["Location"])
                if not url.startswith(here):
                    return url
                answer = self.get(url, allow_redirects=False, timeout=20)
                continue
            page = Page(answer.text)
            if page.goes_on_to:
                return page.goes_on_to
            assert answer.status_code == 200 and page.action, answer.text
            if "password" in page.fields:
                self.asked.append("password")
                typed = {"username": "alice", "password": self.password}
            else:
                self.asked.append("consent")
                typed = {"decision": decision}
            answer = self.post(
                urljoin(answer.url, page.action),
                data=page.fields | typed,
                allow_redirects=False,
                timeout=20,
            )
        raise AssertionError("it leads round in circles")


def query_of(url):
    """The parameters of a URL, each of which is there once."""
    parameters = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in parameters.values()), url
    return {name: values[0] for name, values in parameters.items()}
