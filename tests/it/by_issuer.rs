//! Case 117: several issuers, each token with exactly the validator that is responsible.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::{
    ByIssuer, CurrentToken, JwtValidator, Presented, Reason, Rejection, ResourceProtectorLayer, TokenValidator,
};

use crate::support::{ask_behind, assert_refused, request};

/// Says yes, as this issuer, and counts.
#[derive(Clone)]
struct Says {
    issuer: Option<&'static str>,
    subject: &'static str,
    asked: Arc<AtomicUsize>,
}

impl Says {
    fn new(issuer: Option<&'static str>, subject: &'static str) -> Self {
        Self {
            issuer,
            subject,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl TokenValidator for Says {
    async fn validate(&self, _: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.subject == "refuses" {
            return Err(Rejection::invalid_token(Reason::Signature, "on purpose"));
        }
        CurrentToken::vouch_for(&match self.issuer {
            Some(issuer) => serde_json::json!({ "iss": issuer, "sub": self.subject }),
            None => serde_json::json!({ "sub": self.subject }),
        })
    }
}

/// A JWT that nobody signed.
fn jwt(issuer: &str) -> String {
    let segment = |json: String| URL_SAFE_NO_PAD.encode(json);
    let header = segment(r#"{"alg":"RS256","typ":"at+jwt"}"#.to_owned());
    format!("{header}.{}.AAAA", segment(format!(r#"{{"iss":"{issuer}"}}"#)))
}

async fn subject(tokens: &ResourceProtectorLayer, token: &str) -> (u16, String) {
    let reply = ask_behind(tokens, request(&[&format!("Bearer {token}")])).await;
    let status = reply.status().as_u16();
    if status != 200 {
        assert_refused(&reply, 401, Some("invalid_token"));
    }
    (
        status,
        String::from_utf8(if status == 200 {
            reply.body().to_vec()
        } else {
            Vec::new()
        })
        .unwrap(),
    )
}

#[tokio::test]
async fn a_jwt_goes_to_the_validator_of_the_issuer_it_names_and_to_no_other() {
    let (a, b, opaque) = (
        Says::new(Some("https://a"), "a"),
        Says::new(Some("https://b"), "refuses"),
        Says::new(None, "opaque"),
    );
    let tokens = ByIssuer::new()
        .issuer("https://a", a.clone())
        .issuer("https://b", b.clone())
        .opaque(opaque.clone());
    let tokens = ResourceProtectorLayer::new(tokens);
    assert_eq!(subject(&tokens, &jwt("https://a")).await, (200, "a".to_owned()));
    assert_eq!(subject(&tokens, &jwt("https://b")).await.0, 401);
    assert_eq!((a.asked(), b.asked(), opaque.asked()), (1, 1, 0));
}

#[tokio::test]
async fn a_jwt_of_an_unknown_issuer_is_refused_and_nobody_is_asked() {
    let (a, opaque) = (Says::new(Some("https://a"), "a"), Says::new(None, "opaque"));
    let tokens = ResourceProtectorLayer::new(ByIssuer::new().issuer("https://a", a.clone()).opaque(opaque.clone()));
    for issuer in ["https://b", "https://a/", "HTTPS://a", "", "https://a\\u0000"] {
        assert_eq!(subject(&tokens, &jwt(issuer)).await.0, 401, "{issuer}");
    }
    let no_issuer = jwt("x").replace(&URL_SAFE_NO_PAD.encode(r#"{"iss":"x"}"#), &URL_SAFE_NO_PAD.encode("{}"));
    assert_eq!(subject(&tokens, &no_issuer).await.0, 401);
    assert_eq!((a.asked(), opaque.asked()), (0, 0));
}

#[tokio::test]
async fn opaque_tokens_go_by_the_longest_prefix() {
    let tokens = ByIssuer::new()
        .opaque_with_prefix("ory_", Says::new(None, "ory"))
        .opaque_with_prefix("ory_at_", Says::new(None, "ory access"))
        .opaque_with_prefix("oat_", Says::new(None, "oat"));
    let tokens = ResourceProtectorLayer::new(tokens);
    assert_eq!(subject(&tokens, "ory_at_x.y").await.1, "ory access");
    assert_eq!(subject(&tokens, "ory_rt_x").await.1, "ory");
    assert_eq!(subject(&tokens, "oat_x.y.z").await.1, "oat");
    assert_eq!(subject(&tokens, "other").await.0, 401);
    assert_eq!(subject(&tokens, &jwt("https://a")).await.0, 401);
}

#[tokio::test]
async fn an_encrypted_jwt_is_opaque() {
    let tokens = ResourceProtectorLayer::new(ByIssuer::new().opaque(Says::new(None, "opaque")));
    assert_eq!(
        subject(&tokens, "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0.a.b.c.d")
            .await
            .1,
        "opaque"
    );
}

#[tokio::test]
async fn a_validator_that_finds_another_issuer_is_not_believed() {
    let tokens = ResourceProtectorLayer::new(ByIssuer::new().issuer("https://a", Says::new(Some("https://b"), "b")));
    assert_eq!(subject(&tokens, &jwt("https://a")).await.0, 401);
}

#[tokio::test]
async fn tenants_are_made_once_while_they_are_remembered_and_unknown_ones_never() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let tokens = ByIssuer::new().tenants(2, move |issuer| {
        let tenant = issuer.strip_prefix("https://auth.test/")?;
        let known = ["t1", "t2", "t3"].contains(&tenant);
        count.fetch_add(usize::from(known), Ordering::SeqCst);
        known.then(|| Says::new(None, "tenant"))
    });
    let tokens = ResourceProtectorLayer::new(tokens);
    for tenant in ["t1", "t1", "t2", "t1"] {
        assert_eq!(
            subject(&tokens, &jwt(&format!("https://auth.test/{tenant}"))).await.0,
            200
        );
    }
    assert_eq!(made.load(Ordering::SeqCst), 2);
    for unknown in ["https://auth.test/t4", "https://evil.test/t1", "t1"] {
        assert_eq!(subject(&tokens, &jwt(unknown)).await.0, 401);
    }
    assert_eq!(made.load(Ordering::SeqCst), 2);
    // Two are kept: a third takes the place of the one that was longest out of use.
    assert_eq!(subject(&tokens, &jwt("https://auth.test/t3")).await.0, 200);
    assert_eq!(subject(&tokens, &jwt("https://auth.test/t1")).await.0, 200);
    assert_eq!(made.load(Ordering::SeqCst), 3);
    assert_eq!(subject(&tokens, &jwt("https://auth.test/t2")).await.0, 200);
    assert_eq!(made.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn made_up_tenants_do_not_drive_out_those_that_have_shown_a_good_token() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let tokens = ByIssuer::new().tenants(10, move |issuer| {
        let good = issuer == "https://good.test";
        count.fetch_add(usize::from(good), Ordering::SeqCst);
        Some(Says::new(None, if good { "good" } else { "refuses" }))
    });
    let tokens = ResourceProtectorLayer::new(tokens);
    assert_eq!(subject(&tokens, &jwt("https://good.test")).await.0, 200);
    for n in 0..100 {
        assert_eq!(
            subject(&tokens, &jwt(&format!("https://made-up-{n}.test"))).await.0,
            401
        );
    }
    assert_eq!(subject(&tokens, &jwt("https://good.test")).await.0, 200);
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn a_validator_of_another_issuer_is_a_setup_error() {
    let jwts = || JwtValidator::discover("https://a.test", "https://api.test").unwrap();
    assert!(ByIssuer::new().try_issuer("https://a.test", jwts()).is_ok());
    let error = ByIssuer::new().try_issuer("https://a.test/", jwts()).unwrap_err();
    assert!(
        error.to_string().contains("https://a.test/") && error.option() == "issuer",
        "{error}"
    );
}

#[test]
fn a_second_validator_for_the_same_tokens_is_a_setup_error() {
    let says = || Says::new(None, "x");
    assert!(
        ByIssuer::new()
            .issuer("https://a", says())
            .try_issuer("https://a", says())
            .is_err()
    );
    assert!(ByIssuer::new().try_issuer("", says()).is_err());
    assert!(
        ByIssuer::new()
            .opaque(says())
            .try_opaque_with_prefix("", says())
            .is_err()
    );
    assert!(
        ByIssuer::new()
            .opaque_with_prefix("a_", says())
            .try_opaque_with_prefix("a_", says())
            .is_err()
    );
}
