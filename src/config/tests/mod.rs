//! Every start-up error: it names line and key, and quotes no secret.

mod issuer;
mod reading;
#[cfg(feature = "redis")]
mod revocation;
mod route;

use super::*;

/// Two lines, to which each test adds.
const RESOURCE: &str = "[resource]\nidentifier = \"https://api.test\"\n";

/// Five lines with a whole issuer; what is added stands from line 6.
fn jwt(more: &str) -> String {
    format!("{RESOURCE}[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"jwt\"\n{more}\n")
}

/// Five lines with an issuer that lacks its client; what is added stands from line 6.
fn introspection(more: &str) -> String {
    format!("{RESOURCE}[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"introspection\"\n{more}\n")
}

/// Seven lines with a whole issuer; what is added stands from line 8.
fn with_client(more: &str) -> String {
    introspection(&format!("client_id = \"api\"\nclient_secret = \"s3cret\"\n{more}"))
}

fn start(toml: &str) -> Result<RoutesLayer, ConfigError> {
    let config = ProtectorConfig::from_toml(toml)?;
    let protector = config.protector_and_mirror().map(|(protector, _)| protector);
    let routes = protector.and_then(|protector| config.routes(protector));
    routes.map_err(|error| error.located_in(toml))
}

#[track_caller]
fn assert_error(toml: &str, line: usize, key: &str, problem: &str) {
    let Err(error) = start(toml) else {
        panic!("this is accepted:\n{toml}");
    };
    let message = format!("{error}");
    assert_eq!((error.line(), error.key()), (Some(line), key), "{message}\n{toml}");
    assert!(message.contains(problem), "expected {problem:?} in {message:?}\n{toml}");
    assert!(
        message.starts_with(&format!("line {line}: ")) && message.contains(key),
        "{message}"
    );
    assert!(!format!("{message} {error:?}").contains("s3cret"), "{message}");
}

#[track_caller]
fn assert_starts(toml: &str) {
    if let Err(error) = start(toml) {
        panic!("{error}\n{toml}");
    }
}

#[test]
fn the_smallest_configuration_of_each_kind_starts() {
    assert_starts(&jwt(""));
    assert_starts(&with_client(""));
    assert_starts(&introspection("client_auth = \"none\""));
    assert_starts(&jwt("[[route]]\npath = \"/me\""));
}

#[test]
fn a_value_that_cannot_be_used_is_named() {
    let resource =
        |text: &str| format!("[resource]\n{text}\n[[issuer]]\nissuer = \"https://a.test\"\nkind = \"jwt\"\n");
    for (text, line, key, problem) in [
        (
            resource("identifier = \" \""),
            2,
            "resource.identifier",
            "expected the identifier",
        ),
        (
            resource("identifier = \"https://a/#b\""),
            2,
            "resource.identifier",
            "without fragment",
        ),
        (
            resource("identifier = \"a\"\nrealm = \"\u{fc}\""),
            3,
            "resource.realm",
            "expected",
        ),
        (jwt("audience = []"), 6, "issuer[0].audience", "expected the identifier"),
        (
            jwt("jwks_uri = \"http://keys.test/\""),
            6,
            "issuer[0].jwks_uri",
            "https",
        ),
        (
            jwt("algorithms = []"),
            6,
            "issuer[0].algorithms",
            "expected at least one",
        ),
        (
            jwt("leeway_seconds = 301"),
            6,
            "issuer[0].leeway_seconds",
            "expected 0 s to 300 s",
        ),
        (
            jwt("expect_claims = { use = [] }"),
            6,
            "issuer[0].expect_claims",
            "expected values",
        ),
        (
            jwt("expect_claims = { \"\" = \"a\" }"),
            6,
            "issuer[0].expect_claims",
            "expected",
        ),
        (
            jwt("claims = { scope = \"\" }"),
            6,
            "issuer[0].claims.scope",
            "expected",
        ),
        (
            jwt("claims = { client_id = \"\" }"),
            6,
            "issuer[0].claims.client_id",
            "expected",
        ),
        (
            jwt("claims = { audience = \"\" }"),
            6,
            "issuer[0].claims.audience",
            "expected",
        ),
        (
            with_client("cache_seconds = 86401"),
            8,
            "issuer[0].cache_seconds",
            "expected",
        ),
        (
            jwt("timeout_seconds = 0"),
            6,
            "issuer[0].timeout_seconds",
            "expected 0.001 s to 60 s",
        ),
        (
            with_client("timeout_seconds = 61"),
            8,
            "issuer[0].timeout_seconds",
            "expected 0.001 s to 60 s",
        ),
        (
            jwt("jwks_refresh_seconds = 59"),
            6,
            "issuer[0].jwks_refresh_seconds",
            "expected 60 s to 86400 s",
        ),
        (
            jwt("jwks_stale_seconds = 86401"),
            6,
            "issuer[0].jwks_stale_seconds",
            "expected 0 s to 86400 s",
        ),
        (
            with_client("negative_seconds = 86401"),
            8,
            "issuer[0].negative_seconds",
            "expected 0 s to 86400 s",
        ),
        (
            with_client("stale_if_error_seconds = 3601"),
            8,
            "issuer[0].stale_if_error_seconds",
            "expected 0 s to 3600 s",
        ),
        (
            with_client("max_calls_in_flight = 0"),
            8,
            "issuer[0].max_calls_in_flight",
            "expected 1 to 10000",
        ),
        (
            with_client("refresh_ahead = 1"),
            8,
            "issuer[0].refresh_ahead",
            "expected",
        ),
        (
            with_client("introspection_endpoint = \"http://a.test/\""),
            8,
            "issuer[0].introspection_endpoint",
            "https",
        ),
        (
            with_client("opaque_prefix = \"\""),
            8,
            "issuer[0].opaque_prefix",
            "got an empty string",
        ),
    ] {
        assert_error(&text, line, key, problem);
    }
    for (issuer, kind) in [("", "jwt"), ("http://a.test", "jwt"), ("a", "introspection")] {
        let text = format!(
            "{RESOURCE}[[issuer]]\nissuer = {issuer:?}\nkind = {kind:?}\n{}",
            if kind == "jwt" {
                ""
            } else {
                "client_id = \"api\"\nclient_secret = \"s3cret\""
            }
        );
        assert_error(&text, 4, "issuer[0].issuer", "expected");
    }
}
