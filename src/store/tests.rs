//! A protector in front of a table in memory, with a clock that stands still.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::{
    harness::{self, MovedClock},
    protector::ResourceProtectorLayer,
    rejection::RejectionKind,
    require::Requirement,
    scope::Scopes,
};

const API: &str = "https://api.example";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn record(scopes: &str) -> StoredToken {
    StoredToken {
        subject: Some("alice".to_owned()),
        client_id: Some("app".to_owned()),
        scopes: Scopes::parse(scopes),
        audience: vec![API.to_owned()],
        issued_at: Some(at(9_000)),
        expires_at: Some(at(11_000)),
        ..StoredToken::default()
    }
}

/// The table of the acceptance cases.
async fn table() -> MemoryTokenStore {
    let table = MemoryTokenStore::new();
    let over = |scopes| StoredToken {
        expires_at: Some(at(10_000)),
        ..record(scopes)
    };
    for (token, record) in [
        ("a1", record("profile")),
        ("both", record("profile email")),
        ("noscope", record("")),
        ("upper", record("Profile")),
        ("exp", over("profile")),
        ("exp-noscope", over("")),
        ("rev", record("profile")),
        ("rev-exp", over("profile")),
    ] {
        table.insert(&OpaqueToken::new(token), record).await.unwrap();
    }
    for token in ["rev", "rev-exp"] {
        table.revoke(&OpaqueToken::new(token)).await.unwrap();
    }
    table
}

async fn present(
    validator: impl TokenValidator,
    token: &str,
    requirement: Option<Requirement>,
) -> Result<CurrentToken, Rejection> {
    let mut layer = ResourceProtectorLayer::new(validator).clock(MovedClock::at(10_000));
    if let Some(requirement) = requirement {
        layer = layer.requiring(requirement);
    }
    harness::present(layer, token).await
}

async fn on_profile(token: &str) -> Result<CurrentToken, Rejection> {
    let validator = StoreValidator::new(table().await, API).unwrap();
    present(validator, token, Some(Requirement::scope("profile").unwrap())).await
}

#[tokio::test]
async fn a_token_in_the_table_is_let_in_with_what_its_record_says() {
    let token = on_profile("a1").await.unwrap();
    assert_eq!((token.subject(), token.client_id()), (Some("alice"), Some("app")));
    assert_eq!(
        (token.issued_at(), token.expires_at()),
        (Some(at(9_000)), Some(at(11_000)))
    );
    assert_eq!(token.audience().collect::<Vec<_>>(), [API]);
    assert!(on_profile("both").await.unwrap().has_scope("email"));
}

#[tokio::test]
async fn an_expired_token_is_a_401() {
    assert_eq!(on_profile("exp").await.unwrap_err().reason(), Some(Reason::Expired));
}

#[tokio::test]
async fn a_revoked_token_is_a_401() {
    assert_eq!(on_profile("rev").await.unwrap_err().reason(), Some(Reason::Inactive));
}

#[tokio::test]
async fn a_token_that_is_revoked_and_expired_is_a_401() {
    assert_eq!(
        on_profile("rev-exp").await.unwrap_err().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn an_unknown_token_is_a_401() {
    assert_eq!(on_profile("nope").await.unwrap_err().reason(), Some(Reason::Inactive));
}

#[tokio::test]
async fn a_token_without_the_scope_in_its_very_case_is_a_403() {
    for token in ["noscope", "upper"] {
        let refused = on_profile(token).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::InsufficientScope, "{token}");
    }
}

#[tokio::test]
async fn a_token_that_is_expired_and_lacks_the_scope_is_a_401() {
    assert_eq!(
        on_profile("exp-noscope").await.unwrap_err().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_token_for_another_service_or_for_none_is_a_401() {
    let other = StoreValidator::new(table().await, ["https://other.example"]).unwrap();
    let refused = present(other, "a1", None).await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Audience));

    let table = MemoryTokenStore::new();
    let nobody = StoredToken {
        audience: Vec::new(),
        ..record("profile")
    };
    table.insert(&OpaqueToken::new("t"), nobody).await.unwrap();
    let refused = present(StoreValidator::new(table.clone(), API).unwrap(), "t", None).await;
    assert_eq!(refused.unwrap_err().reason(), Some(Reason::Audience));
    assert!(
        present(StoreValidator::for_tokens_of_this_service_only(table), "t", None)
            .await
            .is_ok()
    );
}

#[test]
fn an_empty_audience_is_a_set_up_error() {
    assert!(StoreValidator::new(MemoryTokenStore::new(), "").is_err());
    assert!(StoreValidator::new(MemoryTokenStore::new(), Vec::<String>::new()).is_err());
}

#[tokio::test]
async fn a_revocation_is_in_force_with_the_next_request() {
    let table = table().await;
    let validator = || StoreValidator::new(table.clone(), API).unwrap();
    assert!(present(validator(), "a1", None).await.is_ok());
    table.revoke(&OpaqueToken::new("a1")).await.unwrap();
    assert_eq!(
        present(validator(), "a1", None).await.unwrap_err().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_a_503() {
    struct Down;

    impl TokenStore for Down {
        async fn find(&self, _: &OpaqueToken<'_>) -> Result<Option<StoredToken>, StoreError> {
            Err(StoreError::new("connection refused"))
        }

        async fn insert(&self, _: &OpaqueToken<'_>, _: StoredToken) -> Result<(), StoreError> {
            Ok(())
        }

        async fn revoke(&self, _: &OpaqueToken<'_>) -> Result<(), StoreError> {
            Ok(())
        }

        async fn delete_expired(&self, _: SystemTime) -> Result<usize, StoreError> {
            Ok(0)
        }
    }

    let validator = StoreValidator::for_tokens_of_this_service_only(Arc::new(Down));
    let refused = present(validator, "a1", None).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::Unavailable);
    assert!(refused.detail().contains("connection refused"));
}

#[tokio::test]
async fn only_expired_records_are_deleted() {
    let table = table().await;
    let forever = StoredToken {
        expires_at: None,
        ..record("")
    };
    table.insert(&OpaqueToken::new("forever"), forever).await.unwrap();
    assert_eq!(table.delete_expired(at(9_999)).await.unwrap(), 0);
    assert_eq!(table.delete_expired(at(10_000)).await.unwrap(), 3);
    assert!(table.find(&OpaqueToken::new("exp")).await.unwrap().is_none());
    assert!(table.find(&OpaqueToken::new("rev")).await.unwrap().is_some());
    assert!(table.find(&OpaqueToken::new("forever")).await.unwrap().is_some());
}

#[test]
fn a_record_is_written_with_the_names_of_rfc_7662() {
    let mut record = record("profile email");
    record.expires_at = Some(at(11_000) + Duration::from_millis(999));
    record.revoked_at = Some(at(1));
    record.extra.set("username", "Alice").unwrap();
    let expected = json!({
        "sub": "alice", "client_id": "app", "scope": "profile email", "aud": [API],
        "iat": 9_000, "exp": 11_000, "username": "Alice",
    });
    assert_eq!(serde_json::to_value(&record).unwrap(), expected);
    assert_eq!(
        serde_json::to_value(StoredToken::default()).unwrap(),
        json!({ "scope": "" })
    );
}

#[test]
fn a_scope_with_a_space_does_not_become_two() {
    let record = StoredToken {
        scopes: ["read admin", "x"].into_iter().collect(),
        ..StoredToken::default()
    };
    let token = CurrentToken::vouch_for(&record).unwrap();
    assert!(token.has_scope("read admin") && !token.has_scope("admin"));
}

#[test]
fn an_extra_claim_cannot_stand_in_for_a_field() {
    let mut extra = ExtraClaims::default();
    for field in ["sub", "client_id", "scope", "aud", "iat", "exp"] {
        assert!(extra.set(field, "x").is_err(), "{field}");
    }
    extra.set("tenant", 7).unwrap();
    assert_eq!((extra.get("tenant"), extra.get::<String>("tenant")), (Some(7), None));
    // Not even when it comes from a column that somebody else wrote.
    assert!(serde_json::from_value::<ExtraClaims>(json!({ "sub": "admin" })).is_err());
}

#[test]
fn extra_claims_survive_a_column() {
    let column = r#"{"cnf":{"jkt":"x"},"tenant":7}"#;
    let extra: ExtraClaims = serde_json::from_str(column).unwrap();
    assert_eq!(serde_json::to_string(&extra).unwrap(), column);
    let record = StoredToken {
        extra,
        ..record("profile")
    };
    let token = CurrentToken::vouch_for(&record).unwrap();
    assert!(token.confirmation().is_some());
    assert_eq!(token.claim::<Value>("tenant"), Some(json!(7)));
}

#[test]
fn a_digest_is_sha_256_and_debug_forms_show_no_secret() {
    // FIPS 180-2, appendix B.1.
    let digest: String = OpaqueToken::new("abc")
        .sha256()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        digest,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert!(!format!("{:?}", OpaqueToken::new("abc")).contains("abc"));
    assert!(!format!("{:?}", record("profile")).contains("alice"));
}

#[tokio::test]
async fn a_leeway_is_for_a_table_that_another_clock_writes() {
    let store = table().await;
    let early = StoredToken {
        issued_at: Some(at(10_005)),
        ..record("profile")
    };
    store.insert(&OpaqueToken::new("early"), early).await.unwrap();
    let exact = StoreValidator::new(store.clone(), API).unwrap();
    assert_eq!(
        present(exact, "early", None).await.unwrap_err().reason(),
        Some(Reason::NotYetValid)
    );
    let lenient = || StoreValidator::new(store.clone(), API).unwrap();
    assert!(
        present(lenient().leeway(Duration::from_secs(5)).unwrap(), "early", None)
            .await
            .is_ok()
    );
    assert!(lenient().leeway(Duration::from_secs(301)).is_err());
}
