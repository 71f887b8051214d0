"""A small authorization server on a loopback port, made of Authlib's own classes.

    python authorization_server.py [--port 0] [--alg RS256|ES256]

It prints `listening on http://127.0.0.1:PORT`; that URL is its issuer. What it
issues depends on the client that asks: `jwt-app` gets JWT access tokens
(RFC 9068), `opaque-app` gets opaque ones. `api` is the resource server, the
only one that may introspect. The `/control` routes exist for the tests alone.
"""

import argparse
import secrets
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants, list_to_scope, scope_to_list
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify, request
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from werkzeug.serving import make_server

DEFAULT_AUDIENCE = "https://api.example.com"
TOKEN_LIFETIME = 3600
SCOPES = ["profile", "email", "admin"]


@dataclass
class Client(ClientMixin):
    client_id: str
    secret: str
    tokens: str = ""  # the kind it is given: "jwt", "opaque", or none at all

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return list_to_scope([s for s in scope_to_list(scope or "") if s in SCOPES])

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        return True

    def check_grant_type(self, grant_type):
        return bool(self.tokens)


@dataclass
class User:
    user_id: str
    password: str

    def get_user_id(self):
        return self.user_id


CLIENTS = {
    client.client_id: client
    for client in [
        Client("jwt-app", "jwt-app-secret", tokens="jwt"),
        Client("opaque-app", "opaque-app-secret", tokens="opaque"),
        # Characters that Basic credentials must have form-encoded (RFC 6749 section
        # 2.3.1). `%41` is there because sent raw it would be decoded, to an `A`.
        Client("api", "s3cr:t/+ %41é"),
    ]
}
USERS = {"alice": User("alice", "wonderland")}


@dataclass
class IssuedToken(TokenMixin):
    kind: str  # "access_token" or "refresh_token"
    client_id: str
    subject: str
    scope: str
    audience: str
    issued_at: int
    expires_at: int
    revoked: bool = False

    def check_client(self, client):
        return self.client_id == client.client_id

    def is_expired(self):
        return self.expires_at <= time.time()

    def is_revoked(self):
        return self.revoked


class SigningKeys:
    """The newest key signs; all of them are published until withdrawn."""

    def __init__(self, alg):
        self.alg = alg
        self.keys = []
        self.rotate()

    @property
    def current(self):
        # A set of one, because it is with a set that `kid` enters the header.
        return KeySet(self.keys[-1:])

    def rotate(self):
        parameters = {"use": "sig", "alg": self.alg}
        if self.alg == "ES256":
            key = ECKey.generate_key("P-256", parameters, auto_kid=True)
        else:
            key = RSAKey.generate_key(2048, parameters, auto_kid=True)
        self.keys = [*self.keys, key]
        return key.kid

    def withdraw_old(self):
        self.keys = self.keys[-1:]

    def published(self):
        return KeySet(self.keys).as_dict(private=False)


def requested_audience():
    """RFC 8707: the client names the API the token is for."""
    return request.form.get("resource", DEFAULT_AUDIENCE)


class JwtGenerator(JWTBearerTokenGenerator):
    def __init__(self, issuer, keys, **options):
        super().__init__(issuer, keys.alg, **options)
        self.keys = keys

    def get_jwks(self):
        return self.keys.current

    def get_audiences(self, client, user, scope):
        return requested_audience()


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    pass


class PasswordGrant(grants.ResourceOwnerPasswordCredentialsGrant):
    """The shortest way to a token with a user in it. How a token came about is
    nothing the resource server sees; a real server asks in a browser."""

    def authenticate_user(self, username, password):
        user = USERS.get(username)
        if user and secrets.compare_digest(user.password, password):
            return user


def introspection_endpoint(issuer, tokens):
    class Introspection(IntrospectionEndpoint):
        CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

        def check_permission(self, token, client, request):
            return client.client_id == "api"

        def query_token(self, token_string, token_type_hint):
            # The hint only says where to look first (RFC 7662 section 2.1).
            return tokens.get(token_string)

        def introspect_token(self, token):
            return {
                "active": True,
                "token_type": "Bearer" if token.kind == "access_token" else token.kind,
                "client_id": token.client_id,
                "sub": token.subject,
                "scope": token.scope,
                "aud": token.audience,
                "iss": issuer,
                "iat": token.issued_at,
                "exp": token.expires_at,
            }

    return Introspection


def revocation_endpoint(tokens):
    class Revocation(RevocationEndpoint):
        def query_token(self, token_string, token_type_hint):
            return tokens.get(token_string)

        def revoke_token(self, token, request):
            token.revoked = True

    return Revocation


def metadata_document(issuer):
    document = AuthorizationServerMetadata(
        issuer=issuer,
        token_endpoint=f"{issuer}/token",
        jwks_uri=f"{issuer}/jwks",
        introspection_endpoint=f"{issuer}/introspect",
        introspection_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        revocation_endpoint=f"{issuer}/revoke",
        scopes_supported=SCOPES,
        # Required; there is no authorization endpoint, so nothing is answered there.
        response_types_supported=["none"],
        grant_types_supported=["client_credentials", "password"],
    )
    document.validate()
    return document


def create_app(issuer, alg):
    app = Flask(__name__)
    document = metadata_document(issuer)
    keys = SigningKeys(alg)
    tokens = {}

    def save_token(token, asked):
        now = int(time.time())
        for kind in ["access_token", "refresh_token"]:
            if kind in token:
                tokens[token[kind]] = IssuedToken(
                    kind=kind,
                    client_id=asked.client.client_id,
                    subject=asked.user.user_id if asked.user else asked.client.client_id,
                    scope=token.get("scope", ""),
                    audience=requested_audience(),
                    issued_at=now,
                    expires_at=now + TOKEN_LIFETIME,
                )

    options = {
        "refresh_token_generator": lambda **_: generate_token(48),
        "expires_generator": TOKEN_LIFETIME,
    }
    generators = {
        "jwt": JwtGenerator(issuer, keys, **options),
        "opaque": BearerTokenGenerator(lambda **_: generate_token(42), **options),
    }

    server = AuthorizationServer(app, CLIENTS.get, save_token)
    server.register_token_generator(
        "default", lambda client, **rest: generators[client.tokens](client=client, **rest)
    )
    server.register_grant(ClientCredentialsGrant)
    server.register_grant(PasswordGrant)
    server.register_endpoint(introspection_endpoint(issuer, tokens))
    server.register_endpoint(revocation_endpoint(tokens))

    @app.post("/token")
    def token():
        return server.create_token_response()

    @app.post("/introspect")
    def introspect():
        return server.create_endpoint_response(IntrospectionEndpoint.ENDPOINT_NAME)

    @app.post("/revoke")
    def revoke():
        return server.create_endpoint_response(RevocationEndpoint.ENDPOINT_NAME)

    # One document for both places a resource server may look in.
    @app.get("/.well-known/oauth-authorization-server")
    @app.get("/.well-known/openid-configuration")
    def metadata():
        return jsonify(document)

    @app.get("/jwks")
    def jwks():
        return jsonify(keys.published()), {"Cache-Control": "public, max-age=300"}

    add_control_routes(app, issuer, keys)
    return app


def add_control_routes(app, issuer, keys):
    calls, counting = Counter(), threading.Lock()
    outage = threading.Event()

    @app.before_request
    def count_and_maybe_fail():
        if request.path.startswith("/control/"):
            return None
        with counting:
            calls[request.endpoint] += 1
        return ("out of order", 503) if outage.is_set() else None

    @app.get("/control/counters")
    def counters():
        """Calls so far, those during an outage included."""
        with counting:
            return {name: calls[name] for name in ["metadata", "jwks", "introspect"]}

    @app.post("/control/rotate")
    def rotate():
        """A new key signs from now on; the old ones stay published."""
        return {"kid": keys.rotate()}

    @app.post("/control/withdraw")
    def withdraw():
        """All keys but the newest leave the set."""
        keys.withdraw_old()
        return {}

    @app.post("/control/outage/<state>")
    def switch_outage(state):
        """`on`: everything but /control answers 503. `off`: back to work."""
        if state == "on":
            outage.set()
        else:
            outage.clear()
        return {}

    @app.post("/control/mint")
    def mint():
        """A JWT that the grants would never issue: a valid one, with the members of
        the JSON request's `header` and `claims` laid over it; null removes one."""
        now = int(time.time())
        header = {"alg": keys.alg, "typ": "at+jwt", "kid": keys.keys[-1].kid}
        claims = {
            "iss": issuer,
            "aud": DEFAULT_AUDIENCE,
            "sub": "alice",
            "client_id": "jwt-app",
            "scope": "profile",
            "jti": generate_token(16),
            "iat": now,
            "exp": now + TOKEN_LIFETIME,
        }
        changes = request.get_json()
        header |= changes.get("header", {})
        claims |= changes.get("claims", {})
        return jwt.encode(
            {name: value for name, value in header.items() if value is not None},
            {name: value for name, value in claims.items() if value is not None},
            keys.keys[-1],
            default_type=None,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--alg", choices=["RS256", "ES256"], default="RS256")
    arguments = parser.parse_args()

    # Bound before the application exists, because the issuer contains the port.
    with socket.create_server(("127.0.0.1", arguments.port)) as listener:
        host, port = listener.getsockname()
        issuer = f"http://{host}:{port}"
        app = create_app(issuer, arguments.alg)
        server = make_server(host, port, app, threaded=True, fd=listener.fileno())
    print(f"listening on {issuer}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
