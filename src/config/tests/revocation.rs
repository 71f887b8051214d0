//! What is found in `[revocation]`.

use super::*;

/// Ten lines with a whole table, of which line 7 is the URL; what is added stands from line 11.
fn table(more: &str) -> String {
    jwt(&format!(
        "[revocation]\nredis_url = \"redis://user:s3cret@127.0.0.1:1/\"\nname = \"example\"\nby = [\"sub\"]\n\
         longest_lifetime_seconds = 3600\n{more}"
    ))
}

#[test]
fn a_whole_table_starts_and_so_does_one_with_every_key() {
    assert_starts(&table(""));
    let every_key = table(
        "assume_issuer = \"https://auth.test\"\nunknown_after_seconds = 60\naccept_stale_up_to_seconds = 300\n\
         capacity = 1000",
    );
    assert_starts(&every_key.replace("\"sub\"", "\"jti\", \"sid\", \"sub\", \"client_id\""));
}

#[test]
fn a_value_that_cannot_be_used_is_named_without_the_url() {
    for (theirs, ours, line, key, problem) in [
        ("redis://user", "http://user", 7, "redis_url", "expected `redis://"),
        (
            "\"redis://user:s3cret@127.0.0.1:1/\"",
            "\"\"",
            7,
            "redis_url",
            "expected `redis://",
        ),
        (
            "\"redis://user:s3cret@127.0.0.1:1/\"",
            "5",
            7,
            "redis_url",
            "expected a string",
        ),
        ("\"example\"", "\"\"", 8, "name", "1 to 200 bytes"),
        ("\"example\"", "\"{s3cret}\"", 8, "name", "1 to 200 bytes"),
        ("\"example\"", "[]", 8, "name", "expected a string, got a list"),
        ("[\"sub\"]", "[]", 9, "by", "expected what tokens are revoked by"),
        ("[\"sub\"]", "\"s3cret\"", 9, "by", "expected a list, got a string"),
        (
            "[\"sub\"]",
            "[\"s3cret\"]",
            9,
            "by[0]",
            "expected one of `jti`, `sid`, `sub`, `client_id`",
        ),
        ("[\"sub\"]", "[\"sub\", \"sid\", \"sub\"]", 9, "by[2]", "stands twice"),
        (
            "3600",
            "0",
            10,
            "longest_lifetime_seconds",
            "expected 1 s to 31622400 s, got 0 s",
        ),
        (
            "3600",
            "31622401",
            10,
            "longest_lifetime_seconds",
            "expected 1 s to 31622400 s",
        ),
        (
            "3600",
            "\"s3cret\"",
            10,
            "longest_lifetime_seconds",
            "expected a whole number",
        ),
    ] {
        let text = table("");
        assert_eq!(text.matches(theirs).count(), 1, "{theirs}");
        assert_error(&text.replace(theirs, ours), line, &format!("revocation.{key}"), problem);
    }
    for (more, line, key, problem) in [
        (
            "unknown_after_seconds = 1",
            11,
            "unknown_after_seconds",
            "expected 2 s to 86400 s, got 1 s",
        ),
        (
            "unknown_after_seconds = 86401",
            11,
            "unknown_after_seconds",
            "expected 2 s to 86400 s",
        ),
        // The bound that holds unless it is set.
        (
            "accept_stale_up_to_seconds = 30",
            11,
            "accept_stale_up_to_seconds",
            "expected longer than `unknown_after`",
        ),
        (
            "accept_stale_up_to_seconds = 29",
            11,
            "accept_stale_up_to_seconds",
            "expected 30 s to 86400 s, got 29 s",
        ),
        (
            "accept_stale_up_to_seconds = 86401",
            11,
            "accept_stale_up_to_seconds",
            "expected 30 s to 86400 s",
        ),
        ("capacity = 0", 11, "capacity", "expected at least one"),
        ("capacity = -1", 11, "capacity", "expected a whole number, not negative"),
        ("assume_issuer = \"\"", 11, "assume_issuer", "got an empty string"),
        (
            "authorities_file = \"/nowhere/s3cret\"",
            11,
            "authorities_file",
            "cannot be read",
        ),
        (
            "stream = \"s3cret\"",
            11,
            "stream",
            "unknown key; known here: `redis_url`",
        ),
        (
            "redis_url_env = \"s3cret\"",
            11,
            "redis_url_env",
            "there is redis_url already",
        ),
        (
            "redis_url_file = \"s3cret\"",
            11,
            "redis_url_file",
            "there is redis_url already",
        ),
        ("redis_url = \"s3cret\"", 11, "redis_url", "stands twice"),
    ] {
        assert_error(&table(more), line, &format!("revocation.{key}"), problem);
    }
}

#[test]
fn a_key_that_is_missing_is_named_with_the_line_of_the_table() {
    let text = table("");
    for (line, key) in [
        (7, "redis_url"),
        (8, "name"),
        (9, "by"),
        (10, "longest_lifetime_seconds"),
    ] {
        let without: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(at, _)| at + 1 != line)
            .map(|(_, line)| line)
            .collect();
        assert_error(&without.join("\n"), 6, &format!("revocation.{key}"), "missing");
    }
}

#[test]
fn the_url_may_stand_in_a_file_and_is_judged_as_if_it_stood_here() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = table("").replace(
        "redis_url = \"redis://user:s3cret@127.0.0.1:1/\"",
        &format!("redis_url_file = {:?}", file.path()),
    );
    assert_error(&text, 7, "revocation.redis_url_file", "the file is empty");
    std::fs::write(file.path(), "s3cret\n").unwrap();
    assert_error(&text, 7, "revocation.redis_url_file", "expected `redis://");
    std::fs::write(file.path(), "redis://user:s3cret@127.0.0.1:1/\n").unwrap();
    assert_starts(&text);
}

#[test]
fn a_variable_that_is_not_set_is_no_url() {
    let text = table("").replace(
        "redis_url = \"redis://user:s3cret@127.0.0.1:1/\"",
        "redis_url_env = \"RESOURCE_PROTECTOR_IS_NOT_SET\"",
    );
    assert_error(&text, 7, "revocation.redis_url_env", "the variable is not set");
}

#[test]
fn authorities_are_for_tls_only() {
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/private-authority.pem");
    let text = table(&format!("authorities_file = {authority:?}"));
    assert_error(
        &text,
        11,
        "revocation.authorities_file",
        "expected a list at `rediss://`",
    );
}

#[test]
fn the_url_does_not_show() {
    let config = ProtectorConfig::from_toml(&table("")).unwrap();
    let (protector, mirror) = config.protector_and_mirror().unwrap();
    let shown = format!("{config:?} {protector:?} {mirror:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("127.0.0.1"), "{shown}");
}

#[test]
fn with_a_list_a_route_may_bound_the_age_of_what_is_known_of_jwts() {
    assert_starts(&table("[[route]]\npath = \"/a\"\nmax_age_seconds = 5"));
}
