//! Cases 1–27: what the `Authorization` field says, and what is answered.

use http::{HeaderValue, header};
use resource_protector::ResourceProtectorLayer;

use crate::support::{Known, ask_behind, assert_refused, challenge, protector, request};

#[tokio::test]
async fn a_good_token_enters_and_the_handler_sees_it() {
    let reply = ask_behind(&protector(), request(&["Bearer a1"])).await;
    assert_eq!(
        (reply.status().as_u16(), reply.body().as_ref()),
        (200, b"alice".as_slice())
    );
    assert!(!reply.headers().contains_key(header::VARY));
}

#[tokio::test]
async fn without_credentials_the_challenge_has_no_error_and_the_body_is_empty() {
    for fields in [[].as_slice(), &[""], &["  "]] {
        let reply = ask_behind(&protector(), request(fields)).await;
        assert_refused(&reply, 401, None);
        assert_eq!(challenge(&reply), r#"Bearer realm="api""#);
    }
}

#[tokio::test]
async fn another_scheme_is_answered_like_no_credentials() {
    for field in ["Basic YTpi", "a1", "Basic x, Bearer a1", "DPoP a1", "Token a1"] {
        let reply = ask_behind(&protector(), request(&[field])).await;
        assert_refused(&reply, 401, None);
        assert_eq!(challenge(&reply), r#"Bearer realm="api""#, "{field}");
    }
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case_and_with_any_number_of_spaces() {
    for field in ["bearer a1", "BEARER a1", "BeArEr   a1"] {
        assert_eq!(
            ask_behind(&protector(), request(&[field])).await.status(),
            200,
            "{field}"
        );
    }
}

#[tokio::test]
async fn malformed_credentials_are_400_and_never_reach_the_validator() {
    let known = Known::new();
    let protector = ResourceProtectorLayer::new(known.clone()).realm("api");
    for field in [
        "Bearer",
        "Bearer ",
        "Bearer\ta1",
        "Bearer a1 extra",
        "Bearer a1, Basic x",
        "Bearer a1,",
        "Bearer \"a1\"",
        "Bearer a=1",
    ] {
        let reply = ask_behind(&protector, request(&[field])).await;
        assert_refused(&reply, 400, Some("invalid_request"));
    }
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn two_authorization_fields_are_400_whatever_they_are() {
    for fields in [
        ["Bearer a1", "Bearer nope"],
        ["Bearer nope", "Bearer a1"],
        ["Bearer a1", "Bearer a1"],
        ["Basic x", "Bearer a1"],
    ] {
        let reply = ask_behind(&protector(), request(&fields)).await;
        assert_refused(&reply, 400, Some("invalid_request"));
    }
}

#[tokio::test]
async fn bytes_that_are_not_text_are_400() {
    let mut request = request(&[]);
    request.headers_mut().insert(
        header::AUTHORIZATION,
        HeaderValue::from_bytes(b"Bearer a\xff\xfe").unwrap(),
    );
    assert_refused(&ask_behind(&protector(), request).await, 400, Some("invalid_request"));
}

#[tokio::test]
async fn a_huge_field_is_400_before_anything_looks_at_it() {
    let known = Known::new();
    let protector = ResourceProtectorLayer::new(known.clone());
    let reply = ask_behind(&protector, request(&[&format!("Bearer {}", "a".repeat(100_000))])).await;
    assert_refused(&reply, 400, Some("invalid_request"));
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn the_length_limit_can_be_set() {
    let protector = ResourceProtectorLayer::new(Known::new()).max_authorization_length("Bearer a1".len());
    assert_eq!(ask_behind(&protector, request(&["Bearer a1"])).await.status(), 200);
    assert_eq!(ask_behind(&protector, request(&["Bearer  a1"])).await.status(), 400);
}

#[tokio::test]
async fn an_unknown_token_is_401_invalid_token() {
    let reply = ask_behind(&protector(), request(&["Bearer nope"])).await;
    assert_refused(&reply, 401, Some("invalid_token"));
    assert_eq!(
        challenge(&reply),
        r#"Bearer realm="api", error="invalid_token", error_description="The access token is not valid here""#
    );
}

#[tokio::test]
async fn parameters_of_the_application_stand_in_the_challenge() {
    let protector = protector()
        .challenge_param("scope_note", "x")
        .unwrap()
        .resource_metadata("https://api.example.com/.well-known/oauth-protected-resource")
        .unwrap();
    let reply = ask_behind(&protector, request(&["Bearer nope"])).await;
    assert!(challenge(&reply).starts_with(
        r#"Bearer realm="api", scope_note="x", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource", error="#
    ));
}

#[tokio::test]
async fn without_a_realm_the_challenge_has_none_but_still_a_parameter() {
    let reply = ask_behind(&ResourceProtectorLayer::new(Known::new()), request(&[])).await;
    assert_refused(&reply, 401, None);
    assert_eq!(challenge(&reply), r#"Bearer bearer_methods_supported="header""#);
}

#[tokio::test]
async fn a_realm_with_quotes_is_escaped_and_one_with_line_breaks_is_refused() {
    let protector = ResourceProtectorLayer::new(Known::new()).realm(r#"the "api" \o/"#);
    let reply = ask_behind(&protector, request(&[])).await;
    assert_eq!(challenge(&reply), r#"Bearer realm="the \"api\" \\o/""#);
    for realm in ["a\r\nb", "é"] {
        assert!(ResourceProtectorLayer::new(Known::new()).try_realm(realm).is_err());
    }
}

#[tokio::test]
async fn a_token_in_the_query_or_the_body_is_not_looked_at() {
    let mut query = request(&[]);
    *query.uri_mut() = "/me?access_token=a1".parse().unwrap();
    assert_refused(&ask_behind(&protector(), query).await, 401, None);

    let mut form = request(&[]);
    *form.method_mut() = http::Method::POST;
    form.headers_mut().insert(
        header::CONTENT_TYPE,
        "application/x-www-form-urlencoded".parse().unwrap(),
    );
    *form.body_mut() = "access_token=a1".into();
    assert_refused(&ask_behind(&protector(), form).await, 401, None);
}

#[tokio::test]
async fn options_is_guarded_like_any_other_method() {
    let mut options = request(&[]);
    *options.method_mut() = http::Method::OPTIONS;
    assert_refused(&ask_behind(&protector(), options).await, 401, None);
}

#[tokio::test]
async fn nothing_a_client_sends_reaches_a_response() {
    for field in [
        "Bearer evil-token-value",
        "Evil evil-token-value",
        "Bearer evil-token-value extra",
    ] {
        let reply = ask_behind(&protector(), request(&[field])).await;
        assert!(!format!("{reply:?}").to_lowercase().contains("evil"), "{reply:?}");
    }
}
