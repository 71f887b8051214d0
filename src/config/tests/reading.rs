//! What is found while the file is read.

use super::*;

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
        "known here: `resource`, `issuer`, `revocation`, `route`",
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
        ("acr", "\"a\"", a_list),
        ("authenticated_within_seconds", "\"5\"", a_number),
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
