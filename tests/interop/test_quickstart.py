"""The quickstart and the gateway in front of an API, against a real authorization
server, request by request."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from authorization_server import CLIENTS
from werkzeug.datastructures import WWWAuthenticate

# Tests that hold for both kinds of token run once for each.
both_kinds = pytest.mark.parametrize("client", ["jwt-app", "opaque-app"])
ELSEWHERE = "https://elsewhere.example.com"
# An hour, so that no leeway can reach it.
HOUR_AGO, IN_AN_HOUR = int(time.time()) - 3600, int(time.time()) + 3600

# What is changed in the header and in the claims of a valid JWT access token.
NOT_ACCESS_TOKENS = {
    "expired": ({}, {"exp": HOUR_AGO}),
    "never-expiring": ({}, {"exp": None}),
    "not-yet-valid": ({}, {"nbf": IN_AN_HOUR}),
    "for-another-audience": ({}, {"aud": ELSEWHERE}),
    "for-no-audience": ({}, {"aud": None}),
    "of-another-issuer": ({}, {"iss": ELSEWHERE}),
    "id-token": ({"typ": "JWT"}, {"aud": "jwt-app", "nonce": "n-0S6_WzA2Mj"}),
    "id-token-for-the-api": ({"typ": "JWT"}, {"nonce": "n-0S6_WzA2Mj"}),
    "untyped": ({"typ": None}, {}),
    "of-an-unknown-key": ({"kid": "nobody-has-this"}, {}),
    "with-a-critical-extension": ({"crit": ["b64"], "b64": True}, {}),
}


def challenge(response):
    """The WWW-Authenticate header, read by somebody else's parser."""
    assert "WWW-Authenticate" in response.headers, response.headers
    return WWWAuthenticate.from_header(response.headers["WWW-Authenticate"])


def assert_refused(response, status, error):
    """What every refusal has in common, and what only some have."""
    assert response.status_code == status, response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json()["error"] == error
    assert response.json()["error_description"]
    if status < 500:
        assert challenge(response).type == "bearer"
        assert challenge(response).get("error") == error
    else:
        # The token is not to blame, so the client must not be told to drop it.
        assert "WWW-Authenticate" not in response.headers


def eventually(ask, status, seconds=5):
    """Asks until the answer has this status; gives back the last answer."""
    deadline = time.monotonic() + seconds
    while (response := ask()).status_code != status and time.monotonic() < deadline:
        time.sleep(0.1)
    assert response.status_code == status, response.text
    return response


# What is let in


def test_an_open_route_asks_for_nothing(api):
    assert api.get("/").status_code == 200


@both_kinds
def test_a_users_token_is_accepted_and_described(issuer, api, client):
    token = issuer.user_tokens(client, scope="profile email")["access_token"]
    response = api.get("/me", token)
    assert response.status_code == 200, response.text
    me = api.described(response)
    assert sorted(me.pop("scopes")) == ["email", "profile"]
    assert me == {"subject": "alice", "client_id": client, "issuer": issuer.url}


@both_kinds
def test_a_clients_own_token_is_accepted_and_the_client_is_its_subject(issuer, api, client):
    me = api.described(api.get("/me", issuer.token(client)))
    assert (me["subject"], me["client_id"]) == (client, client)


@both_kinds
def test_the_scope_a_route_asks_for_opens_it(issuer, api, client):
    token = issuer.token(client, scope="profile admin")
    assert api.get("/admin", token).status_code == 200


def test_a_token_signed_with_es256_is_accepted(start_issuer, start_api):
    issuer = start_issuer("--alg", "ES256")
    assert start_api(issuer).get("/me", issuer.token("jwt-app")).status_code == 200


def test_the_scheme_is_read_without_regard_to_case(issuer, api):
    token = issuer.token("jwt-app")
    assert api.get("/me", Authorization=f"bEARER {token}").status_code == 200


# What is refused


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YWxpY2U6d29uZGVybGFuZA=="}])
def test_a_request_without_a_token_is_asked_for_one_and_not_accused(api, headers):
    response = api.get("/me", **headers)
    assert response.status_code == 401
    assert challenge(response).type == "bearer"
    assert challenge(response).get("error") is None
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("token", ["garbage", "gar.ba.ge", "e30.e30.", "a.b.c.d.e"])
def test_garbage_is_an_invalid_token(api, token):
    response = api.get("/me", token)
    assert_refused(response, 401, "invalid_token")
    assert token not in response.text + str(response.headers)


@pytest.mark.parametrize("header", ["Bearer", "Bearer one two", "Bearer not@allowed"])
def test_a_malformed_header_is_an_invalid_request(api, header):
    assert_refused(api.get("/me", Authorization=header), 400, "invalid_request")


def test_two_authorization_headers_are_an_invalid_request(issuer, api):
    # By hand, because HTTP clients merge headers of one name.
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=10)
    try:
        connection.putrequest("GET", "/me")
        for _ in range(2):
            connection.putheader("Authorization", f"Bearer {issuer.token('jwt-app')}")
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 400
        assert 'error="invalid_request"' in response.headers["WWW-Authenticate"]
    finally:
        connection.close()


@both_kinds
@pytest.mark.parametrize("scope", ["profile", "profile administrator", ""])
def test_a_token_without_the_scope_is_told_which_one_is_missing(issuer, api, client, scope):
    response = api.get("/admin", issuer.token(client, scope=scope))
    assert_refused(response, 403, "insufficient_scope")
    assert challenge(response).get("scope") == "admin"


@both_kinds
def test_a_token_for_another_audience_is_refused(issuer, api, client):
    assert_refused(api.get("/me", issuer.token(client, resource=ELSEWHERE)), 401, "invalid_token")


def test_a_minted_token_is_accepted_as_long_as_nothing_is_changed_in_it(issuer, api):
    """The control of the next test: only the change makes the difference there."""
    assert api.get("/me", issuer.minted()).status_code == 200


@pytest.mark.parametrize(("header", "claims"), NOT_ACCESS_TOKENS.values(), ids=NOT_ACCESS_TOKENS)
def test_a_jwt_that_is_not_a_valid_access_token_is_refused(issuer, api, header, claims):
    assert_refused(api.get("/me", issuer.minted(header, **claims)), 401, "invalid_token")


def test_a_jwt_with_a_changed_signature_is_refused(issuer, api):
    # In the middle: the last character has bits that mean nothing.
    head, signature = issuer.token("jwt-app").rsplit(".", 1)
    changed = "B" if signature[20] == "A" else "A"
    token = f"{head}.{signature[:20]}{changed}{signature[21:]}"
    assert_refused(api.get("/me", token), 401, "invalid_token")


@both_kinds
def test_a_refresh_token_is_no_access_token(issuer, api, client):
    tokens = issuer.user_tokens(client)
    assert_refused(api.get("/me", tokens["refresh_token"]), 401, "invalid_token")
    assert api.get("/me", tokens["access_token"]).status_code == 200


# Asking the authorization server


def test_an_opaque_token_is_asked_about_once(issuer, api):
    token = issuer.token("opaque-app")
    before = issuer.calls("introspect")
    assert [api.get("/me", token).status_code for _ in range(3)] == [200] * 3
    assert issuer.calls("introspect") == before + 1


def test_simultaneous_requests_with_one_opaque_token_ask_once(issuer, api):
    token = issuer.token("opaque-app")
    before = issuer.calls("introspect")
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: api.get("/me", token), range(8)))
    assert [response.status_code for response in responses] == [200] * 8
    assert issuer.calls("introspect") == before + 1


def test_a_jwt_is_not_asked_about(issuer, api):
    before = issuer.calls("introspect")
    assert api.get("/me", issuer.token("jwt-app")).status_code == 200
    assert_refused(api.get("/me", issuer.minted(aud=ELSEWHERE)), 401, "invalid_token")
    assert issuer.calls("introspect") == before


def test_an_opaque_token_revoked_before_its_first_use_is_refused(issuer, api):
    token = issuer.token("opaque-app")
    issuer.revoke("opaque-app", token)
    assert_refused(api.get("/me", token), 401, "invalid_token")


def test_a_revoked_opaque_token_is_refused_once_the_answer_about_it_is_old(issuer, start_api):
    api = start_api(issuer, REMEMBER_SECONDS="1")
    token = issuer.token("opaque-app")
    assert api.get("/me", token).status_code == 200
    issuer.revoke("opaque-app", token)
    assert_refused(eventually(lambda: api.get("/me", token), 401), 401, "invalid_token")


def test_refused_credentials_of_the_api_are_its_own_fault_and_not_the_tokens(issuer, start_api):
    api = start_api(issuer, CLIENT_SECRET="not the secret")
    assert_refused(api.get("/me", issuer.token("opaque-app")), 500, "server_error")
    assert api.get("/me", issuer.token("jwt-app")).status_code == 200


# Keys


def test_a_new_signing_key_is_followed_without_a_restart(start_issuer, start_api):
    issuer = start_issuer()
    api = start_api(issuer, JWKS_COOLDOWN_SECONDS="1")
    old = issuer.token("jwt-app")
    assert api.get("/me", old).status_code == 200

    issuer.rotate()
    new = issuer.token("jwt-app")
    eventually(lambda: api.get("/me", new), 200)
    assert api.get("/me", old).status_code == 200, "the old key is still published"


def test_a_withdrawn_signing_key_no_longer_counts_once_the_new_set_is_known(
    start_issuer, start_api
):
    issuer = start_issuer()
    api = start_api(issuer, JWKS_COOLDOWN_SECONDS="1")
    used, unused = issuer.token("jwt-app"), issuer.token("jwt-app")
    assert api.get("/me", used).status_code == 200

    issuer.rotate()
    issuer.withdraw_old_keys()
    new = issuer.token("jwt-app")
    eventually(lambda: api.get("/me", new), 200)
    assert_refused(api.get("/me", unused), 401, "invalid_token")
    assert_refused(api.get("/me", used), 401, "invalid_token")


def test_made_up_key_ids_do_not_make_it_fetch_the_keys_again_and_again(issuer, api):
    assert api.get("/me", issuer.token("jwt-app")).status_code == 200
    before = issuer.calls("jwks")
    for number in range(20):
        token = issuer.minted({"kid": f"made-up-{number}"})
        assert_refused(api.get("/me", token), 401, "invalid_token")
    assert issuer.calls("jwks") <= before + 1


# Outages


def test_an_outage_is_no_reason_to_throw_good_tokens_away(start_issuer, start_api):
    issuer = start_issuer()
    api = start_api(issuer)
    jwt, opaque, unseen = (issuer.token(c) for c in ["jwt-app", "opaque-app", "opaque-app"])
    assert api.get("/me", jwt).status_code == 200
    assert api.get("/me", opaque).status_code == 200

    with issuer.outage():
        response = api.get("/me", unseen)
        assert_refused(response, 503, "temporarily_unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert api.get("/me", opaque).status_code == 200, "it is remembered"
        assert api.get("/me", jwt).status_code == 200, "the keys are at hand"

    eventually(lambda: api.get("/me", unseen), 200, seconds=10)


@both_kinds
def test_it_may_start_before_its_authorization_server(start_issuer, start_api, client):
    issuer = start_issuer()
    token = issuer.token(client)
    with issuer.outage():
        api = start_api(issuer, JWKS_COOLDOWN_SECONDS="1")
        assert api.get("/").status_code == 200
        assert_refused(api.get("/me", token), 503, "temporarily_unavailable")
    eventually(lambda: api.get("/me", token), 200, seconds=10)


# Secrets


@both_kinds
def test_neither_tokens_nor_secrets_are_written_to_the_log(issuer, start_api, client):
    api = start_api(issuer, RUST_LOG="trace")
    tokens = [issuer.token(client), issuer.token(client, resource=ELSEWHERE)]
    assert [api.get("/me", token).status_code for token in tokens] == [200, 401]
    output = api.output()
    for secret in [*tokens, CLIENTS["api"].secret]:
        assert secret not in output
