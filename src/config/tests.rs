//! Every start-up error: it names line and key, and quotes no secret.

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
    let routes = config.protector().and_then(|protector| config.routes(protector));
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
fn what_is_not_toml_is_named_with_its_line() {
    assert_error(
        &jwt("algorithms = [\"RS256\""),
        6,
        "issuer[0].algorithms[0]",
        "not TOML",
    );
    assert_error(
        &with_client("opaque_prefix = \"s3cret"),
        8,
        "issuer[0].opaque_prefix",
        "not TOML",
    );
    assert_error(
        &with_client("leeway_seconds = s3cret"),
        8,
        "issuer[0].leeway_seconds",
        "not TOML",
    );
    assert_error(&with_client("s3cret"), 8, "", "not TOML");
    assert_error(
        &jwt("leeway_seconds = 9999999999999999999"),
        6,
        "issuer[0].leeway_seconds",
        "",
    );
}

#[test]
fn a_key_that_stands_twice_is_named() {
    assert_error(&jwt("kind = \"jwt\""), 6, "issuer[0].kind", "stands twice");
    assert_error(
        &with_client("client_secret = \"s3cret2\""),
        8,
        "issuer[0].client_secret",
        "stands twice",
    );
    assert_error(&jwt("\n[resource]\nidentifier = \"x\""), 7, "resource", "stands twice");
    assert_error(
        &jwt("[[route]]\npath = \"/\"\npath = \"/a\""),
        8,
        "route[0].path",
        "stands twice",
    );
    let second = jwt("[[issuer]]\nissuer = \"https://b.test\"\nkind = \"jwt\"\nissuer = \"https://c.test\"");
    assert_error(&second, 9, "issuer[1].issuer", "stands twice");
    assert_error(
        &jwt("claims = { scope = \"scp\", scope = \"s3cret\" }"),
        6,
        "issuer[0].claims.scope",
        "stands twice",
    );
}

#[test]
fn an_unknown_key_is_named_with_those_that_are_known() {
    assert_error(
        &format!("lisen = 1\n{}", jwt("")),
        1,
        "lisen",
        "known here: `resource`, `issuer`, `route`",
    );
    let realm = format!("{RESOURCE}relam = \"s3cret\"\n");
    assert_error(&realm, 3, "resource.relam", "known here: `identifier` or `realm`");
    assert_error(
        &with_client("secret = \"s3cret\""),
        8,
        "issuer[0].secret",
        "`client_secret`",
    );
    assert_error(
        &jwt("claims = { sub = \"s3cret\" }"),
        6,
        "issuer[0].claims.sub",
        "`client_id`",
    );
    assert_error(
        &jwt("[issuer.claims]\nroles = \"s3cret\""),
        7,
        "issuer[0].claims.roles",
        "`scope`",
    );
    assert_error(
        &jwt("[[route]]\npath = \"/\"\nmethod = \"GET\""),
        8,
        "route[0].method",
        "`methods`",
    );
    assert_error(&jwt("\"a b\" = 1"), 6, "issuer[0].\"a b\"", "unknown key");
}

#[test]
fn a_missing_key_is_named_with_the_line_of_its_table() {
    assert_error("", 1, "resource", "missing");
    assert_error("\n[resource]\nrealm = \"x\"\n", 2, "resource.identifier", "missing");
    assert_error(RESOURCE, 1, "issuer", "missing: expected at least one [[issuer]]");
    let without_kind = format!("{RESOURCE}[[issuer]]\nissuer = \"https://auth.test\"");
    assert_error(&without_kind, 3, "issuer[0].kind", "missing");
    assert_error(&jwt("[[issuer]]\nkind = \"jwt\""), 6, "issuer[1].issuer", "missing");
    assert_error(&jwt("[[route]]\npublic = true"), 6, "route[0].path", "missing");
}

#[test]
fn a_value_of_the_wrong_type_is_not_quoted() {
    for (key, value, problem) in [
        ("issuer", "{ issuer = \"s3cret\" }", "expected a list, got a table"),
        ("resource", "\"s3cret\"", "expected a table, got a string"),
    ] {
        let other = if key == "issuer" {
            "[resource]\nidentifier = \"x\""
        } else {
            ""
        };
        assert_error(&format!("{key} = {value}\n{other}"), 1, key, problem);
    }
    for key in ["identifier", "realm"] {
        let text = format!("[resource]\n{key} = [\"s3cret\"]\n");
        assert_error(&text, 2, &format!("resource.{key}"), "expected a string, got a list");
    }
    let a_string = "expected a string, got a whole number";
    let a_list = "expected a list, got a string";
    let a_number = "expected a whole number, not negative, got a string";
    let a_flag = "expected true or false, got a string";
    for (key, value, problem) in [
        ("client_secret", "54321", a_string),
        ("client_secret", "5.5", "expected a string, got a number"),
        ("client_secret", "1979-05-27", "expected a string, got a date or time"),
        ("client_secret", "true", "expected a string, got true or false"),
        ("client_secret", "[\"s3cret\"]", "expected a string, got a list"),
        ("client_secret", "{ s3cret = 1 }", "expected a string, got a table"),
        ("client_secret_file", "1", a_string),
        ("client_secret_env", "1", a_string),
        ("client_id", "1", a_string),
        ("private_key_file", "1", a_string),
        ("client_auth", "1", "expected a string"),
        (
            "client_auth",
            "\"s3cret\"",
            "expected one of `client_secret_basic`, `client_secret_basic_raw`",
        ),
        ("opaque_prefix", "1", a_string),
        ("introspection_endpoint", "1", a_string),
        ("jwks_uri", "1", a_string),
        ("audience", "\"s3cret\"", a_list),
        ("algorithms", "\"s3cret\"", a_list),
        ("token_types", "\"s3cret\"", a_list),
        ("optional_claims", "\"s3cret\"", a_list),
        ("expect_claims", "\"s3cret\"", "expected a table, got a string"),
        ("claims", "\"s3cret\"", "expected a table, got a string"),
        ("leeway_seconds", "\"s3cret\"", a_number),
        ("leeway_seconds", "-1", "expected a whole number, not negative"),
        ("cache_seconds", "\"s3cret\"", a_number),
        ("allow_insecure_http", "\"s3cret\"", a_flag),
    ] {
        let text = jwt(&format!("{key} = {value}"));
        assert_error(&text, 6, &format!("issuer[0].{key}"), problem);
    }
    for (key, element) in [
        ("algorithms", "[\"RS256\",\n\"s3cret\"]"),
        ("optional_claims", "[\"jti\",\n\"s3cret\"]"),
    ] {
        assert_error(
            &jwt(&format!("{key} = {element}")),
            7,
            &format!("issuer[0].{key}[1]"),
            "expected one of `",
        );
    }
    assert_error(&jwt("audience = [\"a\", 5]"), 6, "issuer[0].audience[1]", a_string);
    assert_error(
        &jwt("expect_claims = { use = 5 }"),
        6,
        "issuer[0].expect_claims.use",
        "expected a string or a list of strings, got a whole number",
    );
    assert_error(
        &jwt("expect_claims = { use = [5] }"),
        6,
        "issuer[0].expect_claims.use[0]",
        a_string,
    );
    for key in ["client_id", "scope", "audience"] {
        let text = jwt(&format!("claims = {{ {key} = 5 }}"));
        assert_error(&text, 6, &format!("issuer[0].claims.{key}"), a_string);
    }
    for (key, value, problem) in [
        ("path", "5", a_string),
        ("methods", "\"GET\"", a_list),
        ("methods", "5", "expected a list, got a whole number"),
        ("scope", "[\"a\"]", "expected a string, got a list"),
        ("any_scope", "\"a\"", a_list),
        ("optional", "\"s3cret\"", a_flag),
        ("public", "1", "expected true or false, got a whole number"),
    ] {
        let text = jwt(&format!("[[route]]\n{key} = {value}"));
        assert_error(&text, 7, &format!("route[0].{key}"), problem);
    }
    let kind = format!("{RESOURCE}[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"s3cret\"\n");
    assert_error(&kind, 5, "issuer[0].kind", "expected `jwt` or `introspection`");
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

#[test]
fn a_route_that_cannot_be_is_named() {
    let route = |text: &str| jwt(&format!("[[route]]\n{text}"));
    for path in ["", "me", "*", "https://api.test/me"] {
        assert_error(
            &route(&format!("path = {path:?}")),
            7,
            "route[0].path",
            "begins with a slash",
        );
    }
    for path in ["//", "/a//", "/a//b", "//a", "/.", "/a/../b", "/a/.."] {
        assert_error(
            &route(&format!("path = {path:?}")),
            7,
            "route[0].path",
            "empty and dot segments",
        );
    }
    for path in ["/a\\b", "/a;b", "/a%20b", "/a?b", "/a#b", "/a\0b"] {
        let path = path.escape_default().to_string().replace("\\u{0}", "\\u0000");
        assert_error(&route(&format!("path = \"{path}\"")), 7, "route[0].path", "decoded");
    }
    for (more, line, key, problem) in [
        ("methods = []", 8, "methods", "at least one"),
        ("methods = [\"GET\", \"get\"]", 8, "methods[1]", "capitals"),
        ("methods = [\"GE T\"]", 8, "methods[0]", "name of a method"),
        ("methods = [\"\"]", 8, "methods[0]", "name of a method"),
        ("methods = [\"GET\", \"GET\"]", 8, "methods[1]", "stands twice"),
        ("methods = [\"HEAD\"]", 8, "methods", "HEAD counts as GET"),
        ("scope = \" \"", 8, "scope", "blank"),
        ("scope = \"a\u{fc}\"", 8, "scope", "expected"),
        ("any_scope = []", 8, "any_scope", "at least one"),
        ("any_scope = [\"a\", \"\"]", 8, "any_scope", "blank"),
        ("scope = \"a\"\npublic = true", 8, "scope", "public = true"),
        ("any_scope = [\"a\"]\npublic = true", 8, "any_scope", "public = true"),
        ("optional = true\npublic = true", 8, "optional", "public = true"),
    ] {
        assert_error(
            &route(&format!("path = \"/a\"\n{more}")),
            line,
            &format!("route[0].{key}"),
            problem,
        );
    }
    for path in ["/", "/a", "/a/", "/a/b c", "/\u{e9}", "/...", "/a.b", "/~:@!$&'()*+,="] {
        assert_starts(&route(&format!("path = {path:?}")));
    }
}

#[test]
fn routes_of_one_path_do_not_overlap() {
    let two = |first: &str, second: &str| jwt(&format!("[[route]]\n{first}\n[[route]]\n{second}"));
    let (get, all) = ("path = \"/a\"\nmethods = [\"GET\", \"PUT\"]", "path = \"/a\"");
    assert_error(
        &two(get, "path = \"/a/\"\nmethods = [\"POST\", \"GET\"]"),
        11,
        "route[1].methods",
        "route[0] has GET",
    );
    assert_error(
        &two(all, "path = \"/a\""),
        9,
        "route[1].path",
        "route[0] has the same path",
    );
    assert_error(&two(all, get), 10, "route[1].methods", "route[0]");
    assert_error(&two(get, all), 10, "route[1].path", "route[0]");
    assert_starts(&two(get, "path = \"/a\"\nmethods = [\"POST\"]"));
    assert_starts(&two(all, "path = \"/a/b\""));
}

#[test]
fn an_error_of_ones_own_gets_the_line_of_its_key() {
    let text = "\nlisten = \"0.0.0.0:80\"\n\n[a.b]\nc = [1,\n2]\n";
    for (key, line) in [
        ("listen", 2),
        ("a.b", 4),
        ("a.b.c", 5),
        ("a.b.c[1]", 6),
        ("a.b.d", 4),
        ("x", 1),
    ] {
        let error = ConfigError::new(key, "is no good").located_in(text);
        assert_eq!(error.to_string(), format!("line {line}: {key}: is no good"));
        assert_eq!(error.line(), Some(line));
    }
    let error = ConfigError::new("listen", "is no good");
    assert_eq!((error.to_string().as_str(), error.line()), ("listen: is no good", None));
    assert_eq!(ConfigError::new("x", "y").located_in("= broken").line(), Some(1));
}

#[test]
fn what_a_type_says_itself_is_not_shown() {
    #[derive(Debug, Deserialize)]
    struct Own {
        #[serde(rename = "listen")]
        _listen: Picky,
    }
    #[derive(Debug)]
    struct Picky;
    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!(
                "{text}, expected `{text}`, got {text}"
            )))
        }
    }
    let error = from_toml::<Own>("listen = \"s3cret\"").unwrap_err();
    assert_eq!(error.to_string(), "line 1: listen: its value cannot be used");
}

#[test]
fn debug_shows_no_secret_and_other_formats_quote_none() {
    let config = ProtectorConfig::from_toml(&with_client("")).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    for secret in ["54321", "-54321", "54321.5", "true", "[54321]", "{\"54321\":1}"] {
        let json = format!(r#"{{"issuer":"a","kind":"introspection","client_secret":{secret}}}"#);
        let error = serde_json::from_str::<IssuerConfig>(&json).unwrap_err().to_string();
        assert!(!error.contains("54321") && !error.contains("`true`"), "{error}");
    }
}

#[test]
fn no_slip_of_the_pen_makes_an_error_quote_a_secret() {
    let text = with_client("expect_claims = { use = \"s3cret\" }\ncache_seconds = 5");
    let mut slips: Vec<String> = Vec::new();
    for (at, character) in text.char_indices() {
        let (before, after) = text.split_at(at);
        let (_, rest) = after.split_at(character.len_utf8());
        slips.push(format!("{before}{rest}"));
        for inserted in [
            "\n", "\"", "'", "=", "[", "]", "{", "}", ".", ",", "#", "\\", "\"\"\"", "\0", "\u{e9}", " ",
        ] {
            slips.push(format!("{before}{inserted}{after}"));
            slips.push(format!("{before}{inserted}{rest}"));
        }
    }
    let mut errors = 0;
    for slip in slips {
        // A slip within the secret makes it another one.
        let Err(error) = start(&slip) else { continue };
        errors += 1;
        let message = format!("{error} {error:?}");
        assert!(!message.contains("s3cret"), "{message}\n{slip}");
        assert!(error.line().is_some(), "{message}\n{slip}");
    }
    assert!(errors > 1000, "{errors}");
    // On a line of its own a secret looks like a key.
    for value in ["\ns3cret==", "\"x\"\ns3cret=y", "\n\"s3cret\" = 1 2"] {
        let error = start(&text.replace("\"s3cret\"", value)).unwrap_err();
        assert!(
            !error.to_string().contains("s3cret") && error.line().is_some(),
            "{error}"
        );
    }
}

#[test]
fn the_tables_can_stand_in_a_bigger_configuration() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Gateway {
        listen: String,
        resource: ResourceConfig,
        issuer: Vec<IssuerConfig>,
        #[serde(default)]
        route: Vec<RouteConfig>,
    }
    let text = format!("listen = \"127.0.0.1:0\"\n{}", jwt("[[route]]\npath = \"me\""));
    let gateway: Gateway = from_toml(&text).unwrap();
    assert_eq!(gateway.listen, "127.0.0.1:0");
    let config = ProtectorConfig::new(gateway.resource, gateway.issuer, gateway.route);
    let error = config
        .routes(config.protector().unwrap())
        .unwrap_err()
        .located_in(&text);
    assert_eq!((error.key(), error.line()), ("route[0].path", Some(8)));

    for (wrong, line, key) in [
        (text.replace("listen =", "lisen ="), 1, "lisen"),
        (text.replace("path", "pfad"), 8, "route[0].pfad"),
        (text.replace("listen = \"127.0.0.1:0\"", ""), 1, "listen"),
        (text.replace("\"127.0.0.1:0\"", "8080"), 1, "listen"),
    ] {
        let error = from_toml::<Gateway>(&wrong).err().unwrap();
        assert_eq!((error.key(), error.line()), (key, Some(line)), "{error}");
    }
}
