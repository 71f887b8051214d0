//! Kubernetes: projected tokens of service accounts, and metadata with nothing but the necessary.

use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim, Reason, SetupError};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn kubernetes() -> Result<JwtValidator, SetupError> {
    let cluster = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
    let accounts = [
        "system:serviceaccount:shop:checkout",
        "system:serviceaccount:shop:reports",
    ];
    Ok(JwtValidator::discover(cluster, "https://api.example.com")?
        .accept_types([""], AccessTokenMark::claim("sub", accounts))?
        .without_at_jwt()?
        .optional_claims([OptionalClaim::ClientId, OptionalClaim::JwtId]))
}
// end of recipe

const CLUSTER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
const ACCOUNT: &str = "system:serviceaccount:shop:checkout";
const KID: &str = "JYtC0Z2nM4hX9sQ7bVwR1kLpT6uEaFgD3oIcN8yHxB0";

fn server() -> Server {
    let server = Server::new("RS256");
    // On the API server's own address, not below the issuer; and beside the key another of a kind that is new.
    let keys = "https://10-0-0-1.example.eks.amazonaws.com/openid/v1/jwks";
    let jwk = server.jwk(json!({ "use": "sig", "kid": KID, "alg": "RS256" }));
    let ml_dsa = json!({ "use": "sig", "kty": "AKP", "kid": "pq-1", "alg": "ML-DSA-65", "pub": "AAAA" });
    server
        .with(
            &format!("{CLUSTER}/.well-known/openid-configuration"),
            json!({ "issuer": CLUSTER, "jwks_uri": keys, "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256", "ML-DSA-65"] }),
        )
        .with(keys, json!({ "keys": [ml_dsa, jwk] }))
}

#[test]
fn service_accounts_of_kubernetes_are_accepted_by_list() {
    let server = server();
    let recipe = Recipe::new(kubernetes().unwrap().fetch(server.clone()), "Kubernetes", 0, &server);
    let header = json!({ "alg": "RS256", "kid": KID });
    let access = json!({ "aud": ["https://api.example.com"], "exp": 1_780_318_740, "iat": 1_780_315_140,
        "iss": CLUSTER, "jti": "7e1a0a4c-2f6c-4b4b-9d3b-7d5a3e1f2c10",
        "kubernetes.io": { "namespace": "shop", "node": { "name": "ip-10-0-1-7", "uid": "b1f5" },
            "pod": { "name": "checkout-6d4f", "uid": "55b9" },
            "serviceaccount": { "name": "checkout", "uid": "14ee3fa4" }, "warnafter": 1_780_318_747 },
        "nbf": 1_780_315_140, "sub": ACCOUNT });
    let token = recipe.lets_in(&server.sign(&header, &access));
    assert_eq!(facts(&token), (Some(ACCOUNT), None, Some(CLUSTER), vec![]));
    let token = recipe.lets_in(&server.sign(&header, &with(&access, json!({ "jti": null }))));
    assert_eq!(token.jwt_id(), None);

    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header, claims), &[reason]);
    };
    let api_server = with(&access, json!({ "aud": ["https://kubernetes.default.svc"] }));
    refused("the token for the API server", &api_server, Reason::Audience);
    let stranger = with(&access, json!({ "sub": "system:serviceaccount:shop:checkout2" }));
    refused("a token of another account", &stranger, Reason::Type);
    // Should the server ever issue RFC 9068 tokens, the list still holds.
    let at_jwt = with(&header, json!({ "typ": "at+jwt" }));
    recipe.refuses(
        "a typed token of a stranger",
        &server.sign(&at_jwt, &stranger),
        &[Reason::Type],
    );
    let cluster = with(
        &access,
        json!({ "iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/OTHER" }),
    );
    refused("a token of another cluster", &cluster, Reason::Issuer);
    let legacy = json!({ "iss": "kubernetes/serviceaccount", "sub": ACCOUNT,
        "kubernetes.io/serviceaccount/namespace": "shop", "kubernetes.io/serviceaccount/secret.name": "checkout-token" });
    refused("a legacy token from a secret", &legacy, Reason::Issuer);
    refused(
        "a token without end",
        &with(&access, json!({ "exp": null })),
        Reason::Claim,
    );
    refused("an expired token", &expired(&access), Reason::Expired);
}

#[test]
fn the_recipe_for_kubernetes_is_the_one_on_the_page() {
    assert_code_is_on_the_page("Kubernetes", include_str!("kubernetes.rs"));
}
