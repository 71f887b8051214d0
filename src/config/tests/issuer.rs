//! What is found in an `[[issuer]]`, and between two.

use super::*;

#[test]
fn plain_http_beyond_loopback_needs_to_be_allowed() {
    for more in ["", "\njwks_uri = \"http://auth.test/jwks\""] {
        let text = format!("{RESOURCE}[[issuer]]\nissuer = \"http://auth.test\"\nkind = \"jwt\"{more}\n");
        assert!(start(&text).is_err());
        assert_starts(&format!("{text}allow_insecure_http = true"));
    }
    let asked = "client_id = \"api\"\nclient_secret = \"s3cret\"";
    for more in ["", "\nintrospection_endpoint = \"http://auth.test/introspect\""] {
        let text =
            format!("{RESOURCE}[[issuer]]\nissuer = \"http://auth.test\"\nkind = \"introspection\"\n{asked}{more}\n");
        assert!(start(&text).is_err());
        assert_starts(&format!("{text}allow_insecure_http = true"));
    }
}

#[test]
fn a_key_of_the_other_kind_is_named() {
    for (key, value) in [
        ("jwks_uri", "\"https://auth.test/jwks\""),
        ("algorithms", "[\"RS256\"]"),
        ("token_types", "[\"at+jwt\"]"),
        ("optional_claims", "[\"jti\"]"),
        ("jwks_refresh_seconds", "600"),
        ("jwks_stale_seconds", "0"),
    ] {
        let text = with_client(&format!("{key} = {value}"));
        assert_error(&text, 8, &format!("issuer[0].{key}"), "belongs to kind = \"jwt\"");
    }
    for (key, value) in [
        ("introspection_endpoint", "\"https://auth.test/introspect\""),
        ("client_id", "\"api\""),
        ("client_secret", "\"s3cret\""),
        ("client_secret_file", "\"/s3cret\""),
        ("client_secret_env", "\"s3cret\""),
        ("client_auth", "\"none\""),
        ("private_key_file", "\"/s3cret\""),
        ("opaque_prefix", "\"x_\""),
        ("cache_seconds", "0"),
        ("negative_seconds", "0"),
        ("stale_if_error_seconds", "0"),
        ("refresh_ahead", "false"),
        ("max_calls_in_flight", "1"),
    ] {
        let text = jwt(&format!("{key} = {value}"));
        assert_error(
            &text,
            6,
            &format!("issuer[0].{key}"),
            "belongs to kind = \"introspection\"",
        );
    }
    for common in [
        "audience = [\"a\"]",
        "expect_claims = { a = \"b\" }",
        "claims = { scope = \"scp\" }",
        "leeway_seconds = 0",
        "timeout_seconds = 1",
        "allow_insecure_http = false",
    ] {
        assert_starts(&jwt(common));
        assert_starts(&with_client(common));
    }
}

#[test]
fn a_type_other_than_at_jwt_needs_an_expected_claim_that_tells_tokens_apart() {
    let key = "issuer[0].token_types";
    assert_error(&jwt("token_types = [\"JWT\"]"), 6, key, "needs expect_claims");
    assert_error(&jwt("token_types = [\"at+jwt\", \"\"]"), 6, key, "needs expect_claims");
    assert_error(&jwt("token_types = []"), 6, key, "expected at least one");
    let everywhere = "token_types = [\"JWT\"]\nexpect_claims = { iss = \"https://auth.test\" }";
    assert_error(
        &jwt(everywhere),
        7,
        "issuer[0].expect_claims",
        "only access tokens have",
    );
    let logout = "token_types = [\"logout+jwt\"]\nexpect_claims = { use = \"access\" }";
    assert_error(&jwt(logout), 6, key, "another kind of JWT");
    for accepted in [
        "token_types = [\"at+jwt\"]",
        "token_types = [\"AT+JWT\", \"application/at+jwt\"]",
        "token_types = [\"JWT\", \"\"]\nexpect_claims = { iss = \"https://auth.test\", use = \"access\" }",
    ] {
        assert_starts(&jwt(accepted));
    }
}

#[test]
fn a_client_needs_an_identifier_and_exactly_one_secret() {
    let secret_by_basic = "missing: expected client_secret, client_secret_file or client_secret_env";
    for method in [
        "",
        "client_auth = \"client_secret_basic_raw\"",
        "client_auth = \"client_secret_post\"",
    ] {
        let text = introspection(&format!("client_id = \"api\"\n{method}"));
        assert_error(&text, 3, "issuer[0].client_secret", secret_by_basic);
        let text = introspection(&format!("client_secret = \"s3cret\"\n{method}"));
        assert_error(&text, 3, "issuer[0].client_id", "expected the identifier");
    }
    assert_error(
        &with_client("client_secret_env = \"PATH\""),
        8,
        "issuer[0].client_secret_env",
        "there is client_secret already",
    );
    assert_error(
        &introspection("client_id = \"api\"\nclient_secret_env = \"PATH\"\nclient_secret_file = \"/x\""),
        7,
        "issuer[0].client_secret_env",
        "there is client_secret_file already",
    );
    for method in ["none", "private_key_jwt"] {
        let text = with_client(&format!("client_auth = {method:?}"));
        assert_error(&text, 7, "issuer[0].client_secret", "uses no secret");
    }
    assert_error(
        &with_client("private_key_file = \"/key.pem\""),
        8,
        "issuer[0].private_key_file",
        "goes with client_auth",
    );
    assert_error(
        &introspection("client_id = \"api\"\nclient_auth = \"private_key_jwt\""),
        3,
        "issuer[0].private_key_file",
        "missing",
    );
    assert_error(
        &introspection("client_id = \"\"\nclient_secret = \"s3cret\""),
        6,
        "issuer[0].client_id",
        "expected the identifier",
    );
    assert_error(
        &introspection("client_id = \"api\"\nclient_secret = \"\""),
        7,
        "issuer[0].client_secret",
        "empty string",
    );
    assert_error(
        &introspection("client_id = \"api\"\nclient_secret = \"s3cret\\n\""),
        7,
        "issuer[0].client_secret",
        "line break",
    );
    assert_error(
        &introspection("client_id = \"a:b\"\nclient_secret = \"s3cret\"\nclient_auth = \"client_secret_basic_raw\""),
        6,
        "issuer[0].client_id",
        "colon",
    );
}

#[test]
fn a_secret_that_cannot_be_had_is_named() {
    // Not even where it stands in the wrong key: `assert_error` looks for it.
    let nowhere = "client_id = \"api\"\nclient_secret_file = \"/nowhere/s3cret\"";
    assert_error(
        &introspection(nowhere),
        7,
        "issuer[0].client_secret_file",
        "cannot be read",
    );
    let unset = "client_id = \"api\"\nclient_secret_env = \"s3cret\"";
    assert_error(&introspection(unset), 7, "issuer[0].client_secret_env", "is not set");
    let key = |path: &str| {
        introspection(&format!(
            "client_id = \"api\"\nclient_auth = \"private_key_jwt\"\nprivate_key_file = {path:?}"
        ))
    };
    assert_error(
        &key("/nowhere/at/all"),
        8,
        "issuer[0].private_key_file",
        "cannot be read",
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret, which is no PEM").unwrap();
    assert_error(
        &key(file.path().to_str().unwrap()),
        8,
        "issuer[0].private_key_file",
        "PKCS#8",
    );
}

#[test]
fn an_issuer_stands_once_per_kind() {
    let again = "[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"jwt\"";
    assert_error(&jwt(again), 7, "issuer[1].issuer", "issuer[0]");
    let other_kind = "[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"introspection\"\nclient_auth = \"none\"";
    assert_starts(&jwt(other_kind));
}

#[test]
fn two_introspection_issuers_need_a_prefix_each() {
    let second = |issuer: &str, first_prefix: &str, prefix: &str| {
        with_client(&format!(
            "{first_prefix}\n[[issuer]]\nissuer = {issuer:?}\nkind = \"introspection\"\nclient_auth = \"none\"\n{prefix}"
        ))
    };
    let (a, b) = ("opaque_prefix = \"a_\"", "opaque_prefix = \"b_\"");
    let other = "https://b.test";
    assert_error(&second(other, "", ""), 3, "issuer[0].opaque_prefix", "missing");
    assert_error(&second(other, "", b), 3, "issuer[0].opaque_prefix", "missing");
    assert_error(&second(other, a, ""), 9, "issuer[1].opaque_prefix", "missing");
    assert_error(
        &second(other, a, a),
        13,
        "issuer[1].opaque_prefix",
        "has a validator already",
    );
    assert_error(&second("https://auth.test", a, b), 10, "issuer[1].issuer", "issuer[0]");
    assert_starts(&second(other, a, b));
    assert_starts(&second(other, a, "opaque_prefix = \"a_b_\""));
}
