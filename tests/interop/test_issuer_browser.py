"""A real browser in front of the pages of the embedded authorization server: what
headers and forms say is one thing, what Chromium makes of them another.

Pictures of the pages are left in `target/pages`.
"""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import chromium
import pytest
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from chromium import ENTER, TAB
from embedded import PASSWORD, grants_process, query_of

PICTURES = Path(__file__).parents[2] / "target" / "pages"
HOME = "<!DOCTYPE html><title>Client</title><h1>The client</h1>"


class Client:
    """The web server of a client, on another port than the authorization server."""

    def __init__(self, port):
        self.callback = f"http://127.0.0.1:{port}/callback"
        # Another host, which is another site for browsers; another port alone is not.
        self.elsewhere = f"http://localhost:{port}"
        self.came, self.page = [], HOME


@contextmanager
def client_process():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/callback?"):
                # As many clients do, it redirects on, and that to another host.
                client.came.append(self.path)
                self.send_response(303)
                self.send_header("Location", f"{client.elsewhere}/home")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            body = client.page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        client = Client(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield client
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def client():
    with client_process() as client:
        yield client


@pytest.fixture
def server(client):
    with grants_process(callback=client.callback) as server:
        yield server


@pytest.fixture(scope="module")
def window():
    with chromium.driver_process() as driver, chromium.browser(driver) as window:
        yield window


@pytest.fixture
def browser(window):
    """As if nobody had used it before."""
    window.begin_anew()
    return window


@pytest.fixture
def link(server, client):
    """A link of one of the clients, and what it takes to make tokens of the answer."""

    def link(client_id, **parameters):
        metadata = server.metadata()
        oauth = OAuth2Session(
            client_id,
            server.secret if client_id == "web" else None,
            scope="profile email",
            redirect_uri=client.callback,
            code_challenge_method="S256",
        )
        oauth.trust_env = False
        verifier = generate_token(48)
        url, state = oauth.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=verifier, **parameters
        )

        def tokens():
            answer = client.callback.removesuffix("/callback") + client.came.pop()
            return oauth.fetch_token(
                metadata["token_endpoint"],
                authorization_response=answer,
                state=state,
                code_verifier=verifier,
            )

        return url, tokens

    return link


def login(browser, password=PASSWORD):
    """By the keyboard alone; the focus is where it is needed."""
    browser.type(f"alice{TAB}{password}{ENTER}")


def at_client(browser, client):
    browser.wait_for(lambda: browser.url == f"{client.elsewhere}/home")
    assert browser.text("h1") == ["The client"]


def test_somebody_logs_in_allows_it_and_is_back_at_the_client(browser, server, client, link):
    url, tokens = link("app")
    browser.go(url)
    assert browser.title == "Sign in"
    login(browser, "wrong")
    browser.wait_for(lambda: browser.title == "Error: Sign in")
    assert browser.text("[role=alert]") == ["Username or password is wrong."]
    focus = "return [document.activeElement.id, document.querySelector('#username').value]"
    assert browser.script(focus) == ["password", "alice"]
    assert browser.script("return document.querySelector('#password').value") == ""

    browser.type(PASSWORD + ENTER)
    browser.wait_for(lambda: browser.title == "Allow The App?")
    assert browser.text("li") == ["See your name", "See your e-mail address"]
    assert browser.text("button") == ["Allow", "Do not allow", "Use another account"]
    browser.click("[value=allow]")
    at_client(browser, client)
    assert server.me(tokens()).status_code == 200
    assert browser.complaints() == []


def test_who_is_logged_in_is_not_asked_again_unless_the_client_wants_it(browser, server, client, link):
    url, tokens = link("web")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The Web Site?")
    browser.click("[value=allow]")
    at_client(browser, client)
    assert server.me(tokens()).status_code == 200

    url, tokens = link("web")
    browser.go(url)
    at_client(browser, client)
    assert server.me(tokens()).status_code == 200

    url, tokens = link("web", prompt="login")
    browser.go(url)
    assert browser.title == "Sign in"
    login(browser)
    at_client(browser, client)
    assert server.me(tokens()).status_code == 200
    assert browser.complaints() == []


def test_what_was_allowed_before_leads_from_the_password_straight_to_the_client(browser, server, client, link):
    url, _ = link("web")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The Web Site?")
    browser.click("[value=allow]")
    at_client(browser, client)

    browser.forget_cookies()
    url, tokens = link("web")
    browser.go(url)
    assert browser.title == "Sign in"
    login(browser)
    at_client(browser, client)
    assert server.me(tokens()).status_code == 200
    assert browser.complaints() == []


def test_who_does_not_allow_it_is_back_at_the_client_without_a_code(browser, client, link):
    url, _ = link("app")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The App?")
    browser.click("[value=deny]")
    at_client(browser, client)
    [answer] = client.came
    assert query_of(answer)["error"] == "access_denied" and "code" not in query_of(answer)
    assert browser.complaints() == []


def test_who_is_somebody_else_is_asked_for_the_password(browser, client, link):
    url, tokens = link("app")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The App?")
    browser.click("[value=switch]")
    browser.wait_for(lambda: browser.title == "Sign in")
    browser.go(url)
    assert browser.title == "Sign in", "nobody is logged in any more"
    assert browser.complaints() == []


def test_who_logs_out_of_the_server_is_asked_for_the_password_again(browser, server, client, link):
    url, _ = link("web")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The Web Site?")
    browser.click("[value=allow]")
    at_client(browser, client)

    browser.go(f"{server.url}/logout")
    assert browser.text("h1") == ["Sign out?"]
    browser.click("button")
    browser.wait_for(lambda: browser.title == "Signed out")
    browser.go(f"{server.url}/logout")
    assert browser.title == "Not signed in"
    url, _ = link("web")
    browser.go(url)
    assert browser.title == "Sign in"
    assert browser.complaints() == []


def test_csrf_another_site_logs_nobody_out(browser, server, client, link):
    url, _ = link("app")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The App?")
    browser.go(f"{server.url}/logout")
    [proof] = [browser.script("return document.querySelector('[name=proof]').value")]
    client.page = (
        f'<!DOCTYPE html><form method="post" action="{server.url}/logout">'
        f'<input name="proof" value="{proof}"><button>win</button></form>'
    )
    browser.go(f"{client.elsewhere}/")
    browser.click("button")
    browser.wait_for(lambda: browser.title == "Error: This form cannot be accepted")
    browser.go(url)
    assert browser.title == "Allow The App?", "somebody is logged in still"


def test_clickjacking_a_frame_of_another_site_shows_nothing(browser, client, link):
    url, _ = link("app")
    client.page = f'<!DOCTYPE html><iframe src="{url.replace("&", "&amp;")}"></iframe>'
    browser.go(f"{client.elsewhere}/")
    browser.wait_for(lambda: any("frame-ancestors 'none'" in line for line in browser.complaints()))
    browser.enter_frame(0)
    assert browser.all("form, input, button") == []


def test_csrf_a_form_of_another_site_is_refused(browser, client, link):
    url, _ = link("app")
    browser.go(url)
    login(browser)
    browser.wait_for(lambda: browser.title == "Allow The App?")
    fields = '<input name="form" value="consent"><input name="decision" value="allow">'
    [proof] = [browser.script("return document.querySelector('[name=proof]').value")]
    client.page = (
        f'<!DOCTYPE html><form method="post" action="{url.replace("&", "&amp;")}">{fields}'
        f'<input name="proof" value="{proof}"><button>win</button></form>'
    )
    browser.go(f"{client.elsewhere}/")
    browser.click("button")
    browser.wait_for(lambda: browser.title == "Error: This form cannot be accepted")
    assert client.came == []


def test_an_unknown_callback_is_told_to_the_person_and_gets_nothing(browser, client, link):
    url, _ = link("app")
    browser.go(url.replace("callback", "elsewhere"))
    assert browser.title == "Error: This link does not work"
    assert browser.all("a, form") == []
    assert client.came == []


@pytest.mark.parametrize("screen", [(1280, 800, "light"), (360, 740, "light"), (360, 740, "dark")])
def test_the_pages_fit_on_a_screen(browser, server, link, screen):
    width, _, scheme = screen
    PICTURES.mkdir(parents=True, exist_ok=True)

    def look(page):
        browser.picture(PICTURES / f"{page}-{width}-{scheme}.png")
        scrolls = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.script(scrolls) == 0, page
        # As large as a finger needs them.
        sizes = "return [...document.querySelectorAll('input:not([type=hidden]), button')].map(e => e.offsetHeight)"
        assert all(height >= 44 for height in browser.script(sizes)), page

    browser.show_on(*screen)
    url, _ = link("app")
    browser.go(url)
    look("login")
    login(browser, "wrong")
    browser.wait_for(lambda: browser.title == "Error: Sign in")
    look("login-again")
    browser.type(PASSWORD + ENTER)
    browser.wait_for(lambda: browser.title == "Allow The App?")
    look("consent")
    browser.go(f"{server.url}/logout")
    look("logout")
    browser.go(url.replace("callback", "elsewhere"))
    look("error")
    assert browser.complaints() == []
