"""Services that share their tokens: the example `python_neighbour` beside the real
Flask-JWT-Extended and the real simplejwt, in both directions."""

import time
from datetime import timedelta

import django
import jwt
import pytest
from conftest import Server, binary, http, running
from django.conf import settings
from flask import Flask, jsonify
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_csrf_token,
    get_jwt_identity,
    jwt_required,
)

SECRET = "the secret that all of the services share"
OTHER_SECRET = "a secret that none of the services shares"

settings.configure(
    SECRET_KEY="Django's own, for sessions and password resets",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SIMPLE_JWT={"SIGNING_KEY": SECRET},
    USE_TZ=True,
)
django.setup()

# Only now, since they read the settings when they are imported.
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.test import APIRequestFactory  # noqa: E402
from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: E402
from rest_framework_simplejwt.exceptions import TokenError  # noqa: E402
from rest_framework_simplejwt.serializers import TokenRefreshSerializer  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, SlidingToken  # noqa: E402


@pytest.fixture(scope="module")
def neighbour():
    command = [binary("PYTHON_NEIGHBOUR")]
    with running(Server, command, SECRET=SECRET, LISTEN="127.0.0.1:0") as server:
        yield server


@pytest.fixture(scope="module")
def flask_app():
    app = Flask(__name__)
    app.config.update(JWT_SECRET_KEY=SECRET, JWT_TOKEN_LOCATION=["headers", "cookies"])
    JWTManager(app)

    def subject():
        return jsonify(subject=get_jwt_identity())

    app.add_url_rule("/me", "me", jwt_required()(subject), methods=["GET", "POST"])
    app.add_url_rule("/fresh", "fresh", jwt_required(fresh=True)(subject))
    app.add_url_rule("/refresh", "refresh", jwt_required(refresh=True)(subject))
    with app.app_context():
        yield app


@pytest.fixture(scope="module")
def user():
    call_command("migrate", verbosity=0)
    return User.objects.create_user("alice", id=1)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def login(neighbour):
    form = {"username": "alice", "password": "wonderland"}
    response = neighbour.post("/flask/login", data=form)
    response.raise_for_status()
    return response


def changed(token, secret=SECRET, algorithm="HS256", **changes):
    """The same token with other claims; those that are None are left out."""
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, secret, algorithm)


def assert_spoilt_tokens_are_refused(neighbour, path, token):
    assert neighbour.get(path, changed(token)).status_code == 200, "the control"
    hour_ago = int(time.time()) - 3600
    for spoilt in [
        changed(token, secret=OTHER_SECRET),
        changed(token, secret=None, algorithm="none"),
        changed(token, exp=hour_ago),
        changed(token, exp=None),
        changed(token, nbf=int(time.time()) + 3600),
        changed(token, jti=None),
        changed(token, aud="https://elsewhere.example.com"),
        changed(token, iss="https://elsewhere.example.com"),
        token[:-6] + "AAAAAA",
    ]:
        response = neighbour.get(path, spoilt)
        assert response.status_code == 401, response.text
        assert response.json()["error"] == "invalid_token"


# Flask-JWT-Extended


def test_tokens_of_flask_open_their_routes_here_and_no_others(neighbour, flask_app):
    access, refresh = create_access_token("alice"), create_refresh_token("alice")
    assert neighbour.get("/flask/me", access).json() == {"subject": "alice"}
    assert neighbour.get("/flask/me", refresh).status_code == 401
    assert neighbour.post("/flask/refresh", headers=bearer(refresh)).status_code == 200
    assert neighbour.post("/flask/refresh", headers=bearer(access)).status_code == 401
    assert neighbour.get("/simple/me", access).status_code == 401
    assert_spoilt_tokens_are_refused(neighbour, "/flask/me", access)


@pytest.mark.parametrize(
    ("fresh", "status"),
    [(True, 200), (False, 401), (timedelta(minutes=5), 200), (timedelta(minutes=-5), 401)],
)
def test_tokens_of_flask_are_as_fresh_here_as_there(neighbour, flask_app, fresh, status):
    token = create_access_token("alice", fresh=fresh)
    assert neighbour.post("/flask/password", headers=bearer(token)).status_code == status
    assert flask_app.test_client().get("/fresh", headers=bearer(token)).status_code == status


def test_a_cookie_of_flask_needs_its_csrf_claim_here_for_unsafe_methods(neighbour, flask_app):
    token = create_access_token("alice")
    cookie = {"Cookie": f"access_token_cookie={token}"}
    sign = {"X-CSRF-TOKEN": get_csrf_token(token)}
    assert neighbour.get("/flask/me", **cookie).json() == {"subject": "alice"}
    assert neighbour.post("/flask/me", headers=cookie | sign).status_code == 200
    assert neighbour.post("/flask/me", headers=cookie).status_code == 403
    wrong = {"X-CSRF-TOKEN": get_csrf_token(create_access_token("alice"))}
    assert neighbour.post("/flask/me", headers=cookie | wrong).status_code == 403
    assert neighbour.post("/flask/me", headers=cookie | bearer(token)).status_code == 200


def test_tokens_minted_here_open_their_routes_in_flask_and_no_others(neighbour, flask_app):
    tokens = login(neighbour).json()
    flask = flask_app.test_client(use_cookies=False)
    access, refresh = bearer(tokens["access_token"]), bearer(tokens["refresh_token"])
    assert flask.get("/me", headers=access).json == {"subject": "alice"}
    assert flask.get("/fresh", headers=access).status_code == 200
    assert flask.get("/refresh", headers=refresh).json == {"subject": "alice"}
    assert flask.get("/me", headers=refresh).status_code == 422
    assert flask.get("/refresh", headers=access).status_code == 422

    refreshed = neighbour.post("/flask/refresh", headers=refresh).json()["access_token"]
    assert flask.get("/me", headers=bearer(refreshed)).status_code == 200
    assert flask.get("/fresh", headers=bearer(refreshed)).status_code == 401


def test_cookies_set_here_are_read_by_flask(neighbour, flask_app):
    response = login(neighbour)
    # `Secure`, so no client sends them back over http by itself.
    cookies = {cookie.name: cookie for cookie in response.cookies}
    assert all(cookie.secure for cookie in cookies.values())
    token, sign = (cookies[name].value for name in ["access_token_cookie", "csrf_access_token"])
    flask = flask_app.test_client(use_cookies=False)
    cookie = {"Cookie": f"access_token_cookie={token}"}
    assert flask.get("/me", headers=cookie).json == {"subject": "alice"}
    assert flask.post("/me", headers=cookie).status_code == 401
    assert flask.post("/me", headers=cookie | {"X-CSRF-TOKEN": sign}).status_code == 200
    refresh = {"Cookie": f"refresh_token_cookie={cookies['refresh_token_cookie'].value}"}
    assert flask.get("/refresh", headers=refresh).status_code == 200


def test_a_token_of_flask_that_was_logged_out_here_is_refused_here(neighbour, flask_app):
    token, other = create_access_token("alice"), create_access_token("alice")
    url = f"{neighbour.url}/flask/logout"
    assert http.delete(url, headers=bearer(token), timeout=10).status_code == 204
    assert neighbour.get("/flask/me", token).status_code == 401
    assert http.delete(url, headers=bearer(token), timeout=10).status_code == 401
    assert neighbour.get("/flask/me", other).status_code == 200


# simplejwt


def test_tokens_of_simplejwt_open_their_routes_here_and_no_others(neighbour, user):
    access, refresh = str(AccessToken.for_user(user)), str(RefreshToken.for_user(user))
    assert neighbour.get("/simple/me", access).json() == {"subject": "1"}
    assert neighbour.get("/simple/me", refresh).status_code == 401
    assert neighbour.get("/simple/me", str(SlidingToken.for_user(user))).status_code == 401
    assert neighbour.post("/simple/refresh", headers=bearer(refresh)).status_code == 200
    assert neighbour.post("/simple/refresh", headers=bearer(access)).status_code == 401
    assert neighbour.get("/flask/me", access).status_code == 401
    # As versions before 5.5 wrote it.
    assert neighbour.get("/simple/me", changed(access, user_id=1)).json() == {"subject": "1"}
    assert neighbour.get("/simple/me", changed(access, user_id=None)).status_code == 401
    assert_spoilt_tokens_are_refused(neighbour, "/simple/me", access)


def test_tokens_minted_here_are_accepted_by_simplejwt(neighbour, user):
    first = bearer(str(RefreshToken.for_user(user)))
    tokens = neighbour.post("/simple/refresh", headers=first).json()
    request = APIRequestFactory().get("/", headers=bearer(tokens["access"]))
    assert JWTAuthentication().authenticate(request)[0] == user
    assert AccessToken(tokens["access"])["user_id"] == "1"
    assert RefreshToken(tokens["refresh"])["user_id"] == "1"
    refreshed = TokenRefreshSerializer(data={"refresh": tokens["refresh"]})
    assert refreshed.is_valid() and AccessToken(refreshed.validated_data["access"])

    request = APIRequestFactory().get("/", headers=bearer(tokens["refresh"]))
    with pytest.raises(AuthenticationFailed):
        JWTAuthentication().authenticate(request)
    with pytest.raises(TokenError):
        RefreshToken(tokens["access"])

    # And back again.
    second = neighbour.post("/simple/refresh", headers=bearer(tokens["refresh"])).json()
    assert AccessToken(second["access"])["user_id"] == "1"
