//! Entra ID: two formats of tokens, and tenants. Keys have no `alg`, and name their issuer.

use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim, Reason, SetupError, Tenants};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn entra() -> Result<JwtValidator, SetupError> {
    let issuer = "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0";
    Ok(JwtValidator::discover(issuer, "5c2bc3ad-0b1d-4b3d-9d5f-3d1a4f1e8a11")?
        .accept_types(["JWT"], AccessTokenMark::claim("azpacr", ["0", "1", "2"]))?
        .client_id_claim("azp")?
        .scope_claim("scp")?
        .optional_claims([OptionalClaim::JwtId]))
}
// end of recipe

// recipe
fn entra_v1() -> Result<JwtValidator, SetupError> {
    let issuer = "https://sts.windows.net/6babcaad-604b-40ac-a9d7-9fd97c0b779f/";
    let keys = "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/discovery/keys";
    Ok(
        JwtValidator::with_jwks_uri(issuer, keys, ["api://orders", "5c2bc3ad-0b1d-4b3d-9d5f-3d1a4f1e8a11"])?
            .accept_types(["JWT"], AccessTokenMark::claim("appidacr", ["0", "1", "2"]))?
            .client_id_claim("appid")?
            .scope_claim("scp")?
            .optional_claims([OptionalClaim::JwtId]),
    )
}
// end of recipe

// recipe
fn entra_tenants() -> Result<JwtValidator, SetupError> {
    let customers = Tenants::only([
        "6babcaad-604b-40ac-a9d7-9fd97c0b779f",
        "72f988bf-86f1-41af-91ab-2d7cd011db47",
    ])?;
    Ok(JwtValidator::discover_tenants(
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
        customers,
        "5c2bc3ad-0b1d-4b3d-9d5f-3d1a4f1e8a11",
    )?
    .accept_types(["JWT"], AccessTokenMark::claim("azpacr", ["0", "1", "2"]))?
    .client_id_claim("azp")?
    .scope_claim("scp")?
    .optional_claims([OptionalClaim::JwtId]))
}
// end of recipe

const CONTOSO: &str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f";
const FABRIKAM: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const STRANGER: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const API: &str = "5c2bc3ad-0b1d-4b3d-9d5f-3d1a4f1e8a11";
const WEBAPP: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";

fn v2(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

fn server() -> Server {
    let mut server = Server::new("RS256");
    let jwk = |issuer: &str| {
        server.jwk(
            json!({ "use": "sig", "kid": "nOo3ZDrODXEK1jKWhXslHR_KXEg", "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg",
            "x5c": ["MIIDBTCCAe2gAwIBAgIQ"], "cloud_instance_name": "microsoftonline.com", "issuer": issuer }),
        )
    };
    let of_tenants = json!({ "keys": [jwk(&v2("{tenantid}"))] });
    let personal =
        server.jwk(json!({ "use": "sig", "kid": "personal", "issuer": v2("9188040d-6c67-4c5b-b112-36a304b66dad") }));
    let v1_keys = json!({ "keys": [server.jwk(json!({ "use": "sig", "kid": "nOo3ZDrODXEK1jKWhXslHR_KXEg",
        "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg", "x5c": ["MIIDBTCCAe2gAwIBAgIQ"] }))] });
    let login = "https://login.microsoftonline.com";
    for tenant in [CONTOSO, FABRIKAM] {
        let keys = format!("{login}/{tenant}/discovery/v2.0/keys");
        server = server
            .with(
                &format!("{login}/{tenant}/v2.0/.well-known/openid-configuration"),
                json!({ "issuer": v2(tenant), "jwks_uri": keys, "tenant_region_scope": "EU",
                    "token_endpoint": format!("{login}/{tenant}/oauth2/v2.0/token") }),
            )
            .with(&keys, of_tenants.clone());
    }
    server
        .with(&format!("{login}/{CONTOSO}/discovery/keys"), v1_keys)
        .with(
            &format!("{login}/organizations/v2.0/.well-known/openid-configuration"),
            json!({ "issuer": v2("{tenantid}"), "jwks_uri": format!("{login}/organizations/discovery/v2.0/keys"),
                "tenant_region_scope": null }),
        )
        .with(
            &format!("{login}/organizations/discovery/v2.0/keys"),
            with(&of_tenants, json!({ "keys": [of_tenants["keys"][0], personal] })),
        )
}

fn header() -> Value {
    json!({ "typ": "JWT", "alg": "RS256", "kid": "nOo3ZDrODXEK1jKWhXslHR_KXEg" })
}

/// Of a user, by an application.
fn access_token(tenant: &str) -> Value {
    json!({ "aud": API, "iss": v2(tenant), "iat": 1_780_315_140, "nbf": 1_780_315_140, "exp": 1_780_319_900,
        "aio": "AXQAi/8IAAAA", "azp": WEBAPP, "azpacr": "0", "name": "Ada", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "ada@contoso.com", "rh": "0.AXkA", "scp": "orders.read profile", "roles": ["clerk"],
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": tenant, "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0" })
}

/// Of an application for itself.
fn app_only_token(tenant: &str) -> Value {
    json!({ "aud": API, "iss": v2(tenant), "iat": 1_780_315_140, "nbf": 1_780_315_140, "exp": 1_780_319_900,
        "aio": "E2ZgY", "azp": WEBAPP, "azpacr": "1", "oid": "0bd1e1a4-6f6c-4a63-9a70-8f3c1f0e7f2b", "rh": "0.AXkA",
        "roles": ["Orders.Read.All"], "sub": "0bd1e1a4-6f6c-4a63-9a70-8f3c1f0e7f2b", "tid": tenant,
        "uti": "9bYx", "ver": "2.0" })
}

fn id_token(tenant: &str, client: &str) -> Value {
    json!({ "aud": client, "iss": v2(tenant), "iat": 1_780_315_140, "nbf": 1_780_315_140, "exp": 1_780_319_040,
        "aio": "ATQA", "name": "Ada", "nonce": "678910", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "ada@contoso.com", "rh": "0.AXkA", "roles": ["clerk"],
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "tid": tenant, "uti": "bXy", "ver": "2.0" })
}

#[test]
fn v2_tokens_of_entra_are_told_from_id_tokens_by_how_their_client_authenticated() {
    let server = server();
    let recipe = Recipe::new(entra().unwrap().fetch(server.clone()), "Entra ID", 0, &server);
    let access = access_token(CONTOSO);
    let token = recipe.lets_in(&server.sign(&header(), &access));
    let subject = "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ";
    let scopes = vec!["orders.read", "profile"];
    assert_eq!(
        facts(&token),
        (Some(subject), Some(WEBAPP), Some(v2(CONTOSO).as_str()), scopes)
    );
    let token = recipe.lets_in(&server.sign(&header(), &app_only_token(CONTOSO)));
    assert!(token.scopes().is_empty());
    assert_eq!(token.roles(), ["Orders.Read.All"]);

    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header(), claims), &[reason]);
    };
    refused("an ID token", &id_token(CONTOSO, WEBAPP), Reason::Audience);
    // Where API and web application are one registration, the audience tells nothing apart.
    refused(
        "an ID token for the API's own registration",
        &id_token(CONTOSO, API),
        Reason::Type,
    );
    let no_nonce = with(&id_token(CONTOSO, API), json!({ "nonce": null }));
    refused("such an ID token without nonce", &no_nonce, Reason::Type);
    let graph = with(&access, json!({ "aud": "00000003-0000-0000-c000-000000000000" }));
    refused("a token for Microsoft Graph", &graph, Reason::Audience);
    refused("a token of another tenant", &access_token(STRANGER), Reason::Issuer);
    let v1 = with(
        &access,
        json!({ "iss": format!("https://sts.windows.net/{CONTOSO}/"), "ver": "1.0" }),
    );
    refused("a v1 token", &v1, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
    recipe.refuses(
        "a refresh token",
        "0.AXkAra2rawtArECp15_ZfAt3n.AgABAAEAAAD",
        &[Reason::Format],
    );
}

#[test]
fn v1_tokens_of_entra_have_another_issuer_and_other_claims() {
    let server = server();
    let recipe = Recipe::new(entra_v1().unwrap().fetch(server.clone()), "Entra ID", 1, &server);
    let issuer = format!("https://sts.windows.net/{CONTOSO}/");
    let header = with(&header(), json!({ "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg" }));
    let access = json!({ "aud": "api://orders", "iss": issuer, "iat": 1_780_315_140, "nbf": 1_780_315_140,
        "exp": 1_780_319_900, "acr": "1", "aio": "AXQAi", "amr": ["pwd"], "appid": WEBAPP, "appidacr": "0",
        "email": "ada@contoso.com", "family_name": "Lovelace", "ipaddr": "192.0.2.1", "name": "Ada",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "rh": "0.AXkA", "scp": "orders.read",
        "sub": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA", "tid": CONTOSO, "unique_name": "ada@contoso.com",
        "uti": "FVsGxYXI30-TuikuuUoFAA", "ver": "1.0" });
    let token = recipe.lets_in(&server.sign(&header, &access));
    let subject = "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA";
    assert_eq!(
        facts(&token),
        (Some(subject), Some(WEBAPP), Some(issuer.as_str()), vec!["orders.read"])
    );
    recipe.lets_in(&server.sign(&header, &with(&access, json!({ "aud": API }))));

    let refused = |what: &str, claims: &Value, reason: Reason| {
        recipe.refuses(what, &server.sign(&header, claims), &[reason]);
    };
    let id = with(
        &access,
        json!({ "aud": API, "appid": null, "appidacr": null, "scp": null, "nonce": "1" }),
    );
    refused("an ID token", &id, Reason::Type);
    refused(
        "an ID token without nonce",
        &with(&id, json!({ "nonce": null })),
        Reason::Type,
    );
    refused(
        "a token for another API",
        &with(&access, json!({ "aud": "api://billing" })),
        Reason::Audience,
    );
    refused("a v2 token", &access_token(CONTOSO), Reason::Issuer);
    let tenant = with(
        &access,
        json!({ "iss": format!("https://sts.windows.net/{FABRIKAM}/"), "tid": FABRIKAM }),
    );
    refused("a token of another tenant", &tenant, Reason::Issuer);
    refused("an expired token", &expired(&access), Reason::Expired);
}

#[test]
fn tenants_of_entra_are_accepted_by_list() {
    let server = server();
    let recipe = Recipe::new(entra_tenants().unwrap().fetch(server.clone()), "Entra ID", 2, &server);
    for tenant in [CONTOSO, FABRIKAM] {
        let token = recipe.lets_in(&server.sign(&header(), &access_token(tenant)));
        assert_eq!(token.issuer(), Some(v2(tenant).as_str()));
        let id = server.sign(&header(), &id_token(tenant, API));
        recipe.refuses("an ID token", &id, &[Reason::Type]);
        let other = with(&access_token(tenant), json!({ "aud": WEBAPP }));
        recipe.refuses(
            "a token for another API",
            &server.sign(&header(), &other),
            &[Reason::Audience],
        );
        let late = server.sign(&header(), &expired(&access_token(tenant)));
        recipe.refuses("an expired token", &late, &[Reason::Expired]);
    }
    let stranger = server.sign(&header(), &access_token(STRANGER));
    recipe.refuses("a token of a tenant that is not listed", &stranger, &[Reason::Issuer]);
    // The key of personal accounts, which is in the same set, does not sign for a tenant.
    let personal = server.sign(&with(&header(), json!({ "kid": "personal" })), &access_token(CONTOSO));
    recipe.refuses(
        "a token by another issuer's key",
        &personal,
        &[Reason::Issuer, Reason::UnknownKey],
    );
}

#[test]
fn the_recipes_for_entra_are_those_on_the_page() {
    assert_code_is_on_the_page("Entra ID", include_str!("entra.rs"));
}
