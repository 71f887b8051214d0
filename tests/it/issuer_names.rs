//! One issuer under several names, its metadata elsewhere, and one issuer for each tenant.

use resource_protector::{
    AccessTokenMark, ByIssuer, CurrentToken, JwtValidator, MemoryTokenStore, Reason, Rejection, ResourceProtectorLayer,
    SetupError, StoreValidator, Tenants, TokenValidator, testing::TestIssuer,
};
use serde_json::{Value, json};

use crate::support::{Web, ask_behind, request};

const API: &str = "https://api.test";
const TEMPLATE: &str = "https://login.test/{tenantid}/v2.0";
const METADATA: &str = "https://login.test/organizations/v2.0/.well-known/openid-configuration";
const JWKS: &str = "https://keys.test/discovery/keys";
const CONTOSO: &str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f";
const FABRIKAM: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Why the token is refused; `None` if it is let in.
async fn verdict(tokens: impl TokenValidator, token: &str) -> Option<Reason> {
    let layer = ResourceProtectorLayer::new(tokens);
    let reply = ask_behind(&layer, request(&[&format!("Bearer {token}")])).await;
    let rejection = reply.extensions().get::<Rejection>();
    assert_eq!(reply.status().as_u16(), if rejection.is_some() { 401 } else { 200 });
    rejection.and_then(Rejection::reason)
}

/// The set of this issuer, each key with an `issuer` of its own, if any.
fn jwks(of: &TestIssuer, issuer_of_key: Option<Value>) -> Value {
    let mut set: Value = serde_json::from_str(&of.jwks()).unwrap();
    if let Some(issuer) = issuer_of_key {
        for key in set["keys"].as_array_mut().unwrap() {
            key["issuer"] = issuer.clone();
        }
    }
    set
}

/// A server for tenants, whose key names this issuer.
fn login(signer: &TestIssuer, issuer_of_key: Option<Value>) -> Web {
    Web::default()
        .with(METADATA, json!({ "issuer": TEMPLATE, "jwks_uri": JWKS }))
        .with(JWKS, jwks(signer, issuer_of_key))
}

fn for_tenants(web: &Web, tenants: Tenants) -> JwtValidator {
    JwtValidator::discover_tenants(TEMPLATE, METADATA, tenants, API)
        .unwrap()
        .fetch(web.clone())
}

fn issuer_of(tenant: &str) -> String {
    format!("https://login.test/{tenant}/v2.0")
}

fn of_tenant(signer: &TestIssuer, tenant: &str) -> String {
    let token = signer.access_token(API).claim("iss", issuer_of(tenant));
    token.claim("tid", tenant).mint()
}

#[tokio::test]
async fn an_issuer_is_accepted_under_each_of_its_names_and_no_other() {
    let signer = TestIssuer::new("https://accounts.test");
    let tokens = || JwtValidator::with_jwks(signer.url(), signer.jwks(), API).unwrap();
    let named = |issuer: &str| signer.access_token(API).claim("iss", issuer).mint();
    let both = || tokens().issuer_alias("accounts.test").unwrap();
    assert_eq!(verdict(tokens(), &named("accounts.test")).await, Some(Reason::Issuer));
    assert_eq!(verdict(both(), &named("accounts.test")).await, None);
    assert_eq!(verdict(both(), &named("https://accounts.test")).await, None);
    for other in ["https://accounts.test/", "Accounts.test", "https://evil.test", ""] {
        assert_eq!(verdict(both(), &named(other)).await, Some(Reason::Issuer), "{other}");
    }
    // Behind the router it gets what is issued under both.
    let routed = || ByIssuer::new().issuer("https://accounts.test", both());
    assert_eq!(verdict(routed(), &named("accounts.test")).await, None);
    assert_eq!(verdict(routed(), &named("https://accounts.test")).await, None);
    for taken in ["", "https://accounts.test"] {
        assert!(tokens().issuer_alias(taken).is_err());
    }
    let error = ByIssuer::new().try_issuer("https://other.test", both()).unwrap_err();
    assert!(error.to_string().contains("accounts.test"), "{error}");
    let twice = routed().try_issuer(
        "accounts.test",
        JwtValidator::with_jwks("accounts.test", signer.jwks(), API).unwrap(),
    );
    assert!(twice.is_err());
}

#[tokio::test]
async fn the_token_keeps_the_name_under_which_it_was_issued() {
    let signer = TestIssuer::new("https://accounts.test");
    let tokens = JwtValidator::with_jwks(signer.url(), signer.jwks(), API).unwrap();
    let layer = ResourceProtectorLayer::new(tokens.issuer_alias("accounts.test").unwrap());
    let service = tower::service_fn(
        |request: http::Request<http_body_util::Full<bytes::Bytes>>| async move {
            let issuer = request
                .extensions()
                .get::<CurrentToken>()
                .unwrap()
                .issuer()
                .unwrap()
                .to_owned();
            Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(issuer)))
        },
    );
    let token = signer.access_token(API).claim("iss", "accounts.test").mint();
    let service = tower::Layer::layer(&layer, service);
    let reply = crate::support::ask(service, request(&[&format!("Bearer {token}")])).await;
    assert_eq!(reply.body(), "accounts.test");
}

#[tokio::test]
async fn metadata_may_be_elsewhere_and_still_have_to_name_the_issuer() {
    let signer = TestIssuer::new("https://unused.test");
    let url = "https://id.test/.well-known/openid-configuration?tenantId=7";
    let web = |issuer: &str| {
        Web::default()
            .with(url, json!({ "issuer": issuer, "jwks_uri": JWKS }))
            .with(JWKS, signer.jwks())
    };
    let token = signer.access_token(API).claim("iss", "acme.com").mint();
    let right = web("acme.com");
    let tokens = JwtValidator::discover_at("acme.com", url, API)
        .unwrap()
        .fetch(right.clone());
    assert_eq!(verdict(tokens, &token).await, None);
    assert_eq!(right.asked(), [url, JWKS]);
    let tokens = JwtValidator::discover_at("acme.com", url, API)
        .unwrap()
        .fetch(web("other.com"));
    let layer = ResourceProtectorLayer::new(tokens);
    let reply = ask_behind(&layer, request(&[&format!("Bearer {token}")])).await;
    assert_eq!(reply.status(), 503);
    assert!(JwtValidator::discover_at("acme.com", "http://id.test/", API).is_err());
    assert!(JwtValidator::discover_at("", url, API).is_err());
    assert!(JwtValidator::discover_at_over_plain_http("acme.com", "http://id.test/", API).is_ok());
}

#[tokio::test]
async fn a_tenant_is_let_in_when_issuer_tid_list_and_key_agree() {
    let signer = TestIssuer::new("https://unused.test");
    let contoso = || Tenants::only([CONTOSO]).unwrap();
    let web = login(&signer, Some(json!(TEMPLATE)));
    let token = of_tenant(&signer, CONTOSO);
    assert_eq!(verdict(for_tenants(&web, contoso()), &token).await, None);
    // Behind the router the template finds it.
    let routed = ByIssuer::new().issuer(TEMPLATE, for_tenants(&web, contoso()));
    assert_eq!(verdict(routed, &token).await, None);
    // Another tenant is none of ours, whoever it is.
    let other = of_tenant(&signer, FABRIKAM);
    assert_eq!(
        verdict(for_tenants(&web, contoso()), &other).await,
        Some(Reason::Issuer)
    );
    let whoever = Tenants::dangerous_whoever_has_signed_up;
    assert_eq!(verdict(for_tenants(&web, whoever()), &other).await, None);
}

#[tokio::test]
async fn an_issuer_and_a_tid_that_differ_are_refused() {
    let signer = TestIssuer::new("https://unused.test");
    let web = login(&signer, Some(json!(TEMPLATE)));
    let whoever = || for_tenants(&web, Tenants::dangerous_whoever_has_signed_up());
    let token = || signer.access_token(API).claim("iss", issuer_of(CONTOSO));
    for spoilt in [
        token().claim("tid", FABRIKAM),
        token(),
        token().claim("tid", 7),
        token().claim("tid", "common").claim("iss", issuer_of("common")),
        token().claim("tid", "{tenantid}").claim("iss", TEMPLATE),
        token()
            .claim("tid", CONTOSO)
            .claim("iss", format!("{}/", issuer_of(CONTOSO))),
    ] {
        assert_eq!(verdict(whoever(), &spoilt.mint()).await, Some(Reason::Issuer));
    }
}

#[tokio::test]
async fn a_key_signs_only_for_the_tenants_it_is_for() {
    let signer = TestIssuer::new("https://unused.test");
    let token = of_tenant(&signer, CONTOSO);
    for (issuer_of_key, expected) in [
        (Some(json!(TEMPLATE)), None),
        (Some(json!(issuer_of(CONTOSO))), None),
        (Some(json!(issuer_of(FABRIKAM))), Some(Reason::Issuer)),
        (Some(json!("https://login.test/{tenantid}")), Some(Reason::Issuer)),
        (Some(json!(["x"])), Some(Reason::Issuer)),
        (None, Some(Reason::Issuer)),
    ] {
        let web = login(&signer, issuer_of_key.clone());
        let tokens = for_tenants(&web, Tenants::dangerous_whoever_has_signed_up());
        assert_eq!(verdict(tokens, &token).await, expected, "{issuer_of_key:?}");
    }
}

#[tokio::test]
async fn a_stranger_to_all_tenants_causes_no_fetch() {
    let signer = TestIssuer::new("https://unused.test");
    let web = login(&signer, Some(json!(TEMPLATE)));
    let token = of_tenant(&signer, FABRIKAM);
    let tokens = for_tenants(&web, Tenants::only([CONTOSO]).unwrap());
    assert_eq!(verdict(tokens, &token).await, Some(Reason::Issuer));
    assert!(web.asked().is_empty());
}

#[test]
fn tenants_need_a_template_and_have_no_other_name() {
    let whoever = Tenants::dangerous_whoever_has_signed_up;
    let option = |result: Result<JwtValidator, SetupError>| result.unwrap_err().option();
    let made = |template, url| JwtValidator::discover_tenants(template, url, whoever(), API);
    assert_eq!(option(made("https://login.test/v2.0", METADATA)), "issuer_template");
    assert_eq!(option(made(TEMPLATE, "http://login.test/")), "metadata_url");
    assert_eq!(option(JwtValidator::discover(TEMPLATE, API)), "issuer");
    let nobodys = StoreValidator::for_tokens_of_this_service_only(MemoryTokenStore::new());
    assert!(ByIssuer::new().try_issuer(TEMPLATE, nobodys).is_err());
    let tokens = made(TEMPLATE, METADATA).unwrap();
    assert_eq!(option(tokens.issuer_alias("https://x.test")), "issuer_alias");
    let relaxed = made(TEMPLATE, METADATA).unwrap();
    assert!(
        relaxed
            .accept_types(["JWT"], AccessTokenMark::any_claim_of(["scp"]))
            .is_ok()
    );
}
