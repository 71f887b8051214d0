//! What is found in a `[[route]]`, and between two.

use super::*;

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
        ("acr = []", 8, "acr", "at least one"),
        ("acr = [\"a b\"]", 8, "acr", "without space"),
        ("acr = [\"a\"]\npublic = true", 8, "acr", "public = true"),
        (
            "authenticated_within_seconds = 0\npublic = true",
            8,
            "authenticated_within_seconds",
            "public = true",
        ),
        (
            "max_age_seconds = 5\npublic = true",
            8,
            "max_age_seconds",
            "public = true",
        ),
        // The issuer's JWTs are verified here.
        ("max_age_seconds = 5", 8, "max_age_seconds", "Introspect its tokens"),
    ] {
        assert_error(
            &route(&format!("path = \"/a\"\n{more}")),
            line,
            &format!("route[0].{key}"),
            problem,
        );
    }
    for more in ["acr = [\"a\"]", "authenticated_within_seconds = 0"] {
        assert_starts(&route(&format!("path = \"/a\"\n{more}")));
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
fn a_route_can_ask_again_where_all_issuers_can_be_asked() {
    let route = |seconds: u64| format!("[[route]]\npath = \"/a\"\nmax_age_seconds = {seconds}");
    for seconds in [0, 5, 86400] {
        assert_starts(&with_client(&route(seconds)));
    }
    assert_error(
        &with_client(&route(86401)),
        10,
        "route[0].max_age_seconds",
        "expected 0 s to 86400 s",
    );
    let verified_too = "[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"jwt\"\n";
    assert_error(
        &with_client(&format!("{verified_too}{}", route(5))),
        13,
        "route[0].max_age_seconds",
        "Introspect its tokens",
    );
}
