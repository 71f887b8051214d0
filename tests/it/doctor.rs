//! What `doctor` notices: each case has one thing that is wrong.

use bytes::Bytes;
use http::{Response, header};
use resource_protector::{
    About, ByIssuer, ClientAuth, CurrentToken, Diagnosis, IntrospectionValidator, JwtValidator, MemoryTokenStore,
    Presented, Reason, Rejection, ResourceProtectorLayer, StoreValidator, TokenValidator, testing::TestIssuer,
};
use serde_json::{Value, json};

const API: &str = "https://api.test";
const METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const SECRET: &str = "do-not-quote-me";

fn jwt(issuer: &TestIssuer) -> JwtValidator {
    JwtValidator::discover(issuer.url(), API).unwrap().fetch(issuer.clone())
}

fn introspection(issuer: &TestIssuer, secret: &str) -> IntrospectionValidator {
    let auth = ClientAuth::basic("api", secret);
    let validator = IntrospectionValidator::discover(issuer.url(), auth, API).unwrap();
    validator.fetch(issuer.clone())
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://auth.test")
}

async fn examine(validator: impl TokenValidator) -> Diagnosis {
    ResourceProtectorLayer::new(validator).doctor().await
}

/// The lines that are not fine.
fn problems(diagnosis: &Diagnosis) -> Vec<String> {
    let text = diagnosis.to_string();
    assert_eq!(text.lines().count(), diagnosis.findings().len());
    assert!(!text.contains(SECRET), "{text}");
    let problems: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("fine    "))
        .map(str::to_owned)
        .collect();
    assert_eq!(problems.is_empty(), diagnosis.is_healthy());
    problems
}

#[tokio::test]
async fn a_sound_set_up_is_healthy_and_it_says_what_was_looked_at() {
    let issuer = issuer();
    let both = ByIssuer::new()
        .issuer(issuer.url(), jwt(&issuer))
        .opaque(introspection(&issuer, TestIssuer::CLIENT_SECRET));
    let diagnosis = examine(both).await;
    let expected = "\
fine    what it takes to judge any token
fine    a token without a signature of https://auth.test is refused
fine    an unverifiable token for another service of https://auth.test is refused
fine    a token with a bad signature of https://auth.test is refused
fine    a made-up opaque token is refused";
    assert_eq!(diagnosis.to_string(), expected);
    assert!(diagnosis.is_healthy());
    assert_eq!(issuer.requests("/introspect"), 1);
}

#[tokio::test]
async fn metadata_of_another_issuer_are_noticed() {
    for kind in ["jwt", "introspection"] {
        let issuer = issuer();
        let metadata = json!({
            "issuer": "https://another.test",
            "jwks_uri": "https://auth.test/jwks",
            "introspection_endpoint": "https://auth.test/introspect",
        });
        let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        let response = response.body(Bytes::from(metadata.to_string())).unwrap();
        issuer.respond_at(METADATA, response.clone());
        issuer.respond_at(OPENID, response);
        let diagnosis = match kind {
            "jwt" => examine(jwt(&issuer)).await,
            _ => examine(introspection(&issuer, SECRET)).await,
        };
        let problems = problems(&diagnosis);
        let named = r#"expected the issuer "https://auth.test", got "https://another.test""#;
        assert!(
            problems[0].contains(named) && problems[0].starts_with("TROUBLE "),
            "{kind}: {problems:?}"
        );
    }
}

#[tokio::test]
async fn keys_that_cannot_be_reached_are_noticed() {
    let issuer = issuer();
    issuer.respond_at("/jwks", Response::builder().status(404).body(Bytes::new()).unwrap());
    let problems = problems(&examine(jwt(&issuer)).await);
    assert!(
        problems[0].contains("the issuer's keys cannot be fetched: expected status 200, got 404"),
        "{problems:?}"
    );
    // Once nobody answers, the rest is left out.
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[tokio::test]
async fn credentials_that_the_authorization_server_refuses_are_noticed() {
    let issuer = issuer();
    let problems = problems(&examine(introspection(&issuer, SECRET)).await);
    let named = "the authorization server refuses this service's own request with status 401";
    assert!(problems.iter().all(|problem| problem.contains(named)), "{problems:?}");
    assert!(!problems.is_empty());
}

#[tokio::test]
async fn each_opaque_validator_is_asked_by_its_prefix() {
    let (a, b) = (TestIssuer::new("https://a.test"), TestIssuer::new("https://b.test"));
    let both = ByIssuer::new()
        .opaque_with_prefix("a_", introspection(&a, TestIssuer::CLIENT_SECRET))
        .opaque_with_prefix("b_", introspection(&b, SECRET));
    let problems = problems(&examine(both).await);
    let [problem] = &problems[..] else {
        panic!("{problems:?}")
    };
    assert!(
        problem.starts_with("TROUBLE a made-up opaque token that begins with b_ is refused: "),
        "{problem}"
    );
    assert_eq!((a.requests("/introspect"), b.requests("/introspect")), (1, 1));
}

#[tokio::test]
async fn an_outage_of_one_issuer_hides_nothing_of_another() {
    let (up, down) = (TestIssuer::new("https://up.test"), TestIssuer::new("https://down.test"));
    down.go_down();
    let both = ByIssuer::new()
        .issuer(down.url(), jwt(&down))
        .issuer(up.url(), Gullible::of(&["https://up.test"]));
    let diagnosis = examine(both).await;
    let alarms: Vec<&str> = diagnosis
        .findings()
        .iter()
        .filter(|finding| finding.is_alarm())
        .map(|finding| finding.checked())
        .collect();
    assert_eq!(alarms, ["a token without a signature of https://up.test is refused"]);
}

#[tokio::test]
async fn every_examination_asks_anew() {
    let issuer = issuer();
    let layer = ResourceProtectorLayer::new(ByIssuer::new().opaque(introspection(&issuer, TestIssuer::CLIENT_SECRET)));
    assert!(layer.doctor().await.is_healthy());
    issuer.require_client("api", "rotated");
    assert!(!layer.doctor().await.is_healthy());
}

/// Believes whatever a JWT without a signature says.
struct Gullible {
    issuers: Vec<String>,
}

impl Gullible {
    fn of(issuers: &[&str]) -> Self {
        Self {
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
        }
    }
}

impl TokenValidator for Gullible {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let refused = || Rejection::invalid_token(Reason::Format, "no unsigned JWT");
        let (signed, signature) = presented.token().rsplit_once('.').ok_or_else(refused)?;
        if !signature.is_empty() {
            return Err(refused());
        }
        let payload = signed.split('.').nth(1).ok_or_else(refused)?;
        let json = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
        let claims: Value = serde_json::from_slice(&json.map_err(|_| refused())?).map_err(|_| refused())?;
        CurrentToken::vouch_for(&claims)
    }

    fn about(&self) -> About<'_> {
        About::default().with_issuers(&self.issuers)
    }
}

#[tokio::test]
async fn a_validator_that_believes_unsigned_tokens_is_an_alarm_whether_or_not_it_names_its_issuers() {
    for (issuers, name) in [
        (&["https://auth.test"][..], "https://auth.test"),
        (&[], "https://issuer.invalid"),
    ] {
        let problems = problems(&examine(Gullible::of(issuers)).await);
        let [problem] = &problems[..] else {
            panic!("{problems:?}")
        };
        let expected = format!("ALARM   a token without a signature of {name} is refused: it was ACCEPTED");
        assert!(problem.starts_with(&expected), "{problem}");
    }
}

#[tokio::test]
async fn of_an_issuer_with_tenants_one_tenant_is_tried() {
    let template = "https://login.test/{tenantid}/v2.0";
    let tenants = ByIssuer::new().issuer(template, Gullible::of(&[template]));
    let problems = problems(&examine(tenants).await);
    let [problem] = &problems[..] else {
        panic!("{problems:?}")
    };
    assert!(
        problem.contains("https://login.test/00000000-0000-4000-8000-000000000000/v2.0"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_validator_that_believes_everything_is_an_alarm_for_every_token() {
    struct Everything;

    impl TokenValidator for Everything {
        async fn validate(&self, _: &Presented<'_>) -> Result<CurrentToken, Rejection> {
            CurrentToken::vouch_for(&json!({ "sub": "anybody" }))
        }
    }
    let diagnosis = examine(Everything).await;
    let alarms = diagnosis.findings().iter().filter(|finding| finding.is_alarm());
    assert_eq!(alarms.count(), 4);
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_noticed_and_one_that_can_is_fine() {
    use resource_protector::{OpaqueToken, StoreError, StoredToken, TokenStore};

    struct Broken;

    impl TokenStore for Broken {
        async fn find(&self, _: &OpaqueToken<'_>) -> Result<Option<StoredToken>, StoreError> {
            Err(StoreError::new("the table is gone"))
        }
        async fn insert(&self, _: &OpaqueToken<'_>, _: StoredToken) -> Result<(), StoreError> {
            Ok(())
        }
        async fn revoke(&self, _: &OpaqueToken<'_>) -> Result<(), StoreError> {
            Ok(())
        }
        async fn delete_expired(&self, _: std::time::SystemTime) -> Result<usize, StoreError> {
            Ok(0)
        }
    }
    let found = problems(&examine(StoreValidator::for_tokens_of_this_service_only(Broken)).await);
    assert!(
        found
            .iter()
            .all(|problem| problem.ends_with("token table: the table is gone")),
        "{found:?}"
    );
    assert_eq!(found.len(), 2);
    let sound = StoreValidator::for_tokens_of_this_service_only(MemoryTokenStore::new());
    assert!(examine(sound).await.is_healthy());
}
