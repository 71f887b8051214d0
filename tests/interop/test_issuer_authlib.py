"""Authlib's client against the embedded authorization server: every grant, and what
the protected API says to the tokens afterwards.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from embedded import CALLBACK, PASSWORD, SIGNING_KEY, Person, query_of
from joserfc.jwk import KeySet

NOTHING = {"active": False}


def session(server, client_id, kind=OAuth2Session, **options):
    """A client that has read the metadata and knows nothing else of the server."""
    metadata = server.metadata()
    if kind is not OAuth2Session:
        options["trust_env"] = False
    made = kind(
        client_id,
        token_endpoint=metadata["token_endpoint"],
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        **options,
    )
    if kind is OAuth2Session:
        made.trust_env = False
    made.at = lambda name: metadata[f"{name}_endpoint"]
    return made


def app(server, **options):
    """The public client."""
    return session(server, "app", scope="profile email", **options)


def confidential(server, client_id, **options):
    return session(server, client_id, client_secret=server.secret, **options)


def link(client, **parameters):
    """What a client sends a browser with, and what it has to remember."""
    verifier = generate_token(48)
    url, state = client.create_authorization_url(
        client.at("authorization"), code_verifier=verifier, **parameters
    )
    return url, {"state": state, "code_verifier": verifier}


def logged_in(client, person=None):
    url, remembered = link(client)
    answer = (person or Person()).allow(url)
    client.fetch_token(authorization_response=answer, **remembered)
    return client


def introspect(server, token, **options):
    api = confidential(server, "api")
    answer = api.introspect_token(api.at("introspection"), token=token, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def refused(call, *arguments, **options):
    """The error code of the answer, as Authlib reads it."""
    with pytest.raises(OAuthError) as refusal:
        call(*arguments, **options)
    assert refusal.value.description
    return refusal.value.error


# Discovery


def test_the_metadata_are_what_authlib_takes_for_metadata(server):
    document = AuthorizationServerMetadata(server.metadata())
    document.validate()
    assert document["issuer"] == server.url
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert {"authorization_code", "client_credentials", "refresh_token"} <= set(document["grant_types_supported"])


# Authorization code


def test_a_public_client_logs_in_with_pkce_and_its_token_opens_the_api(server):
    client, person = app(server), Person()
    url, remembered = link(client)
    answer = person.allow(url)
    assert person.asked == ["password", "consent"]
    assert query_of(answer)["iss"] == server.url
    token = client.fetch_token(authorization_response=answer, **remembered)
    assert token["token_type"] == "Bearer" and token["refresh_token"]
    assert token["scope"] == "profile email" and token["expires_in"] == 600
    assert server.get("/me").status_code == 401
    assert client.get(server.url + "/me").status_code == 200


def test_a_confidential_client_is_not_asked_about_a_second_time(opaque_server):
    person = Person()
    for asked in [["password", "consent"], []]:
        client = confidential(opaque_server, "web", scope="profile")
        person.asked.clear()
        logged_in(client, person)
        assert person.asked == asked
        assert client.get(opaque_server.url + "/me").json()["client"] == "web"


def test_who_does_not_allow_it_is_sent_back_and_the_client_gets_nothing(server):
    client = app(server)
    url, remembered = link(client)
    answer = Person().allow(url, decision="deny")
    assert query_of(answer)["error"] == "access_denied"
    assert query_of(answer)["state"] == remembered["state"]
    assert "code" not in query_of(answer)


def test_a_code_is_worth_nothing_without_the_verifier_it_was_asked_for_with(server):
    client = app(server)
    url, remembered = link(client)
    answer = Person().allow(url)
    stolen = remembered | {"code_verifier": generate_token(48)}
    assert refused(client.fetch_token, authorization_response=answer, **stolen) == "invalid_grant"


def test_a_code_is_good_once_and_the_second_time_ends_what_came_of_the_first(server):
    client = app(server)
    url, remembered = link(client)
    answer = Person().allow(url)
    token = client.fetch_token(authorization_response=answer, **remembered)
    assert server.me(token).status_code == 200
    again = app(server)
    assert refused(again.fetch_token, authorization_response=answer, **remembered) == "invalid_grant"
    assert server.me(token).status_code == 401
    assert refused(client.refresh_token) == "invalid_grant"


def test_a_code_is_for_the_client_that_asked_for_it(opaque_server):
    url, remembered = link(app(opaque_server))
    answer = Person().allow(url)
    other = confidential(opaque_server, "web")
    assert refused(other.fetch_token, authorization_response=answer, **remembered) == "invalid_grant"


@pytest.mark.parametrize(
    "challenge",
    [{}, {"code_challenge": "x" * 43}, {"code_challenge": "x" * 43, "code_challenge_method": "plain"}],
    ids=["none", "no-method", "plain"],
)
def test_without_pkce_by_s256_there_is_no_code(server, challenge):
    client = app(server)
    url, _ = client.create_authorization_url(client.at("authorization"), **challenge)
    assert query_of(Person().allow(url))["error"] == "invalid_request"


# Client credentials


def test_a_worker_gets_a_token_for_itself_and_no_refresh_token(server):
    worker = confidential(server, "worker", scope="profile")
    token = worker.fetch_token(grant_type="client_credentials")
    assert "refresh_token" not in token
    assert server.me(token).status_code == 200
    assert introspect(server, token["access_token"])["client_id"] == "worker"


def test_without_the_scope_the_api_stays_shut(server):
    token = confidential(server, "worker").fetch_token(grant_type="client_credentials")
    assert server.me(token).status_code == 403


def test_a_secret_may_come_in_the_form_where_that_was_agreed_on_and_nowhere_else(opaque_server):
    post = {"token_endpoint_auth_method": "client_secret_post"}
    worker = confidential(opaque_server, "worker-post", scope="profile", **post)
    assert opaque_server.me(worker.fetch_token()).status_code == 200
    for client_id, options in [("worker-post", {}), ("worker", post)]:
        assert refused(confidential(opaque_server, client_id, **options).fetch_token) == "invalid_client"


@pytest.mark.parametrize("options", ["as Authlib does by itself", "for the issuer and a minute"])
def test_a_client_proves_who_it_is_by_signing(opaque_server, options):
    claims = None
    if options == "for the issuer and a minute":
        claims = {"aud": opaque_server.url, "exp": int(time.time()) + 60}
    worker = session(
        opaque_server,
        "worker-jwt",
        client_secret=SIGNING_KEY,
        scope="profile",
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
    )
    header = {"kid": SIGNING_KEY.kid}
    worker.register_client_auth_method(
        PrivateKeyJWT(worker.at("token"), claims=claims, headers=header, alg="ES256")
    )
    token = worker.fetch_token()
    assert opaque_server.me(token).status_code == 200
    if claims is None:
        # Authlib signs anew, with another `jti`.
        assert worker.revoke_token(worker.at("revocation")).status_code == 200
        assert opaque_server.me(token).status_code == 401
    else:
        # It has put its `jti` into these claims, and comes with it again.
        assert refused(worker.fetch_token) == "invalid_client"


@pytest.mark.parametrize(
    "client_id, secret",
    [("worker", "wrong"), ("nobody", "wrong"), ("worker", None), ("app", "wrong"), ("nobody", None)],
)
def test_who_does_not_prove_who_it_is_gets_nothing(server, client_id, secret):
    client = session(server, client_id, client_secret=secret)
    assert refused(client.fetch_token, grant_type="client_credentials") == "invalid_client"
    for endpoint, call in [
        ("introspection", client.introspect_token),
        ("revocation", client.revoke_token),
    ]:
        answer = call(client.at(endpoint), token="x")
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_public_client_may_not_ask_about_tokens(server):
    client = session(server, "app")
    answer = client.introspect_token(client.at("introspection"), token="x")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


# Refresh


def test_a_refresh_token_is_exchanged_for_the_next(server):
    client = logged_in(app(server))
    first = dict(client.token)
    second = dict(client.refresh_token())
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["scope"] == "profile email"
    assert server.me(second).status_code == 200
    third = client.refresh_token()
    assert third["refresh_token"] not in (first["refresh_token"], second["refresh_token"])


def test_a_session_whose_token_is_over_goes_on_by_itself(server):
    told = []
    client = logged_in(app(server, update_token=lambda token, **_: told.append(token)))
    client.token["expires_at"] = 0
    assert client.get(server.url + "/me").status_code == 200
    assert len(told) == 1 and told[0]["expires_at"] > time.time()


def test_a_refresh_token_that_comes_again_ends_the_session(server):
    client = logged_in(app(server))
    first = dict(client.token)
    second = dict(client.refresh_token())
    thief = app(server)
    assert refused(thief.refresh_token, refresh_token=first["refresh_token"]) == "invalid_grant"
    assert refused(client.refresh_token) == "invalid_grant"
    for token in [first, second]:
        assert server.me(token).status_code == 401
        assert introspect(server, token["access_token"]) == NOTHING


def test_of_two_refreshes_at_once_one_wins_and_the_session_ends(server):
    client = logged_in(app(server))
    before = dict(client.token)

    def refresh(_):
        try:
            return app(server).refresh_token(refresh_token=before["refresh_token"])
        except OAuthError as error:
            assert error.error == "invalid_grant"

    with ThreadPoolExecutor(8) as pool:
        answers = [token for token in pool.map(refresh, range(8)) if token]
    assert len(answers) == 1
    for token in [before, *answers]:
        assert server.me(token).status_code == 401


def test_the_scope_may_become_less_and_never_more(server):
    client = logged_in(session(server, "app", scope="email profile"))
    less = client.refresh_token(scope="profile")
    assert less["scope"] == "profile"
    assert introspect(server, less["access_token"])["scope"] == "profile"
    assert server.me(less).status_code == 200
    mail_only = dict(client.refresh_token(scope="email"))
    assert server.me(mail_only).status_code == 403
    assert refused(client.refresh_token, scope="email admin") == "invalid_scope"
    # What was refused has used nothing up.
    assert client.refresh_token(scope="email profile")["scope"] == "email profile"


def test_what_was_not_granted_cannot_be_refreshed_into(server):
    client = logged_in(session(server, "app", scope="profile"))
    assert refused(client.refresh_token, scope="profile email") == "invalid_scope"


def test_a_refresh_token_is_its_clients_alone(opaque_server):
    token = logged_in(app(opaque_server)).token["refresh_token"]
    other = confidential(opaque_server, "web")
    assert refused(other.refresh_token, refresh_token=token) == "invalid_grant"
    worker = confidential(opaque_server, "worker")
    assert refused(worker.refresh_token, refresh_token=token) == "unauthorized_client"
    assert refused(other.refresh_token, refresh_token="made-up") == "invalid_grant"


# Revocation and introspection

hints = pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "unheard-of"])


@hints
def test_a_revoked_access_token_opens_nothing_from_then_on(server, hint):
    client = logged_in(app(server))
    before = dict(client.token)
    assert server.me(before).status_code == 200
    answer = client.revoke_token(client.at("revocation"), token=before["access_token"], token_type_hint=hint)
    assert answer.status_code == 200
    assert server.me(before).status_code == 401
    assert introspect(server, before["access_token"], token_type_hint=hint) == NOTHING
    again = client.revoke_token(client.at("revocation"), token=before["access_token"])
    assert again.status_code == 200
    assert server.me(client.refresh_token()).status_code == 200, "its session goes on"


@hints
def test_with_a_revoked_refresh_token_goes_its_whole_session(server, hint):
    client = logged_in(app(server))
    first = dict(client.token)
    second = dict(client.refresh_token())
    answer = client.revoke_token(client.at("revocation"), token=second["refresh_token"], token_type_hint=hint)
    assert answer.status_code == 200
    assert [server.me(token).status_code for token in (first, second)] == [401, 401]
    assert refused(client.refresh_token) == "invalid_grant"


def test_nobody_revokes_the_token_of_another(server):
    client = logged_in(app(server))
    worker = confidential(server, "worker")
    for token in [client.token["access_token"], client.token["refresh_token"]]:
        answer = worker.revoke_token(worker.at("revocation"), token=token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert server.me(client.token).status_code == 200
    assert server.me(client.refresh_token()).status_code == 200


def test_what_nobody_knows_is_revoked_already(server):
    client = app(server)
    assert client.revoke_token(client.at("revocation"), token="made-up").status_code == 200


@hints
def test_a_resource_server_learns_what_a_token_is_worth(server, hint):
    token = logged_in(app(server)).token
    answer = introspect(server, token["access_token"], token_type_hint=hint)
    assert answer["active"] is True
    assert answer["client_id"] == "app" and answer["scope"] == "profile email"
    assert answer["iss"] == server.url and isinstance(answer["sub"], str)
    assert answer["aud"] == f"{server.url}/me" and answer["token_type"] == "Bearer"
    assert 0 < answer["exp"] - time.time() <= 600


def test_a_client_that_is_no_resource_server_learns_nothing(server):
    token = logged_in(app(server)).token["access_token"]
    worker = confidential(server, "worker")
    answer = worker.introspect_token(worker.at("introspection"), token=token)
    assert (answer.status_code, answer.json()) == (200, NOTHING)


def test_of_what_is_no_access_token_nothing_is_told(server):
    refresh_token = logged_in(app(server)).token["refresh_token"]
    assert introspect(server, refresh_token) == NOTHING
    assert introspect(server, "made-up") == NOTHING


@pytest.mark.parametrize("path", ["/introspect", "/revoke", "/token"])
def test_an_endpoint_takes_forms_that_are_posted(server, path):
    auth = ("api", server.secret)
    assert server.post(path, data={"a": "b"}, auth=auth).json()["error"] == "invalid_request"
    assert server.post(path, json={"token": "x"}, auth=auth).status_code == 400
    assert server.post(path, params={"token": "x"}, auth=auth).status_code == 400
    assert server.get(f"{path}?token=x").status_code == 405


# Log-out


def test_after_a_log_out_everywhere_no_session_is_left_and_the_password_is_asked_again(server):
    person = Person()
    phone, laptop = logged_in(app(server), person), logged_in(app(server))
    worker = confidential(server, "worker", scope="profile")
    of_nobody = dict(worker.fetch_token(grant_type="client_credentials"))
    assert phone.post(server.url + "/logout-everywhere").status_code == 200
    for client in [phone, laptop]:
        assert server.me(client.token).status_code == 401
        assert refused(client.refresh_token) == "invalid_grant"
    assert server.me(of_nobody).status_code == 200
    person.asked.clear()
    assert server.me(logged_in(app(server), person).token).status_code == 200
    assert person.asked[0] == "password"


# Grants that are there and that are not


def test_a_grant_of_the_applications_own_is_used_like_any_other(opaque_server):
    own = {"grant_type": "urn:example:device-pass"}
    device = confidential(opaque_server, "device", scope="profile")
    token = device.fetch_token(**own, **{"pass": "pass-1"})
    alice = opaque_server.me(logged_in(app(opaque_server)).token).json()
    device_of_alice = alice | {"client": "device", "scopes": ["profile"]}
    assert opaque_server.me(token).json() == device_of_alice
    assert opaque_server.me(device.refresh_token()).status_code == 200
    assert refused(device.fetch_token, **own, **{"pass": "pass-1"}) == "invalid_grant"
    assert refused(device.fetch_token, **own) == "invalid_request"
    worker = confidential(opaque_server, "worker")
    assert refused(worker.fetch_token, **own, **{"pass": "pass-2"}) == "unauthorized_client"


def test_a_grant_that_is_not_there_is_unsupported(server):
    worker = confidential(server, "worker")
    assert refused(worker.fetch_token, grant_type="urn:example:unheard-of") == "unsupported_grant_type"


def test_a_client_gets_by_no_other_grant_than_its_own(server):
    worker, client = confidential(server, "worker"), app(server)
    assert refused(worker.fetch_token, grant_type="authorization_code", code="x") == "unauthorized_client"
    assert refused(client.fetch_token, grant_type="client_credentials") == "unauthorized_client"


def test_a_scope_that_the_client_may_not_have_is_refused(server):
    worker = confidential(server, "worker", scope="profile admin")
    assert refused(worker.fetch_token, grant_type="client_credentials") == "invalid_scope"


# Grants that OAuth 2.1 leaves out


def test_a_password_is_exchanged_for_tokens_where_that_is_switched_on(legacy_server):
    client = confidential(legacy_server, "old-program", scope="profile")
    token = client.fetch_token(username="alice", password=PASSWORD)
    assert token["refresh_token"] and token["expires_in"] == 600
    assert legacy_server.me(token).status_code == 200
    assert legacy_server.me(client.refresh_token()).status_code == 200
    assert refused(client.fetch_token, username="alice", password="wrong") == "invalid_grant"
    assert refused(client.fetch_token, username="nobody", password=PASSWORD) == "invalid_grant"


def test_a_token_comes_in_the_fragment_where_that_is_switched_on(legacy_server):
    client = session(legacy_server, "old-page", scope="profile", response_type="token")
    url, state = client.create_authorization_url(client.at("authorization"))
    answer = Person().allow(url)
    assert "?" not in answer
    token = client.fetch_token(authorization_response=answer, state=state)
    assert "refresh_token" not in token
    assert legacy_server.me(token).status_code == 200


def test_elsewhere_neither_grant_is_there(server):
    worker = confidential(server, "worker")
    assert refused(worker.fetch_token, username="alice", password=PASSWORD) == "unsupported_grant_type"
    client = app(server, response_type="token")
    url, _ = client.create_authorization_url(client.at("authorization"))
    assert query_of(Person().allow(url))["error"] == "unsupported_response_type"


# Other clients and resource servers of Authlib's


def test_the_httpx_client_logs_in_refreshes_and_logs_out(server):
    client = logged_in(session(server, "app", kind=OAuth2Client, scope="profile"))
    assert client.get(server.url + "/me").status_code == 200
    before = dict(client.token)
    assert client.refresh_token()["refresh_token"] != before["refresh_token"]
    assert client.revoke_token(client.at("revocation")).status_code == 200
    assert client.get(server.url + "/me").status_code == 401


def test_the_asynchronous_client_refreshes_once_for_many_requests(server):
    token = dict(logged_in(app(server)).token) | {"expires_at": 1}

    async def ask():
        told = []

        async def update(token, **_):
            told.append(token)

        client = session(server, "app", kind=AsyncOAuth2Client, token=token, update_token=update)
        async with client:
            answers = await asyncio.gather(*(client.get(server.url + "/me") for _ in range(5)))
        return [answer.status_code for answer in answers], len(told)

    assert asyncio.run(ask()) == ([200] * 5, 1)


def test_a_resource_server_of_authlibs_accepts_the_jwts(jwt_server):
    class Validator(JWTBearerTokenValidator):
        def get_jwks(self):
            return KeySet.import_key_set(jwt_server.get("/jwks").json())

    token = logged_in(app(jwt_server)).token["access_token"]
    validator = Validator(issuer=jwt_server.url, resource_server=f"{jwt_server.url}/me")
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, ["profile"], None)
    assert claims["client_id"] == "app" and claims["sid"]
