//! What an answer means.

use super::*;

#[tokio::test]
async fn an_active_access_token_for_us_is_let_in_with_what_the_server_says() {
    let token = judged(good()).await.unwrap();
    assert_eq!((token.subject(), token.client_id()), (Some("alice"), Some("app")));
    assert!(token.has_scope("profile"));
    assert_eq!(
        token.expires_at(),
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3600))
    );
    assert_eq!(token.age(), Duration::ZERO);
}

#[tokio::test]
async fn inactive_is_a_401_whatever_else_the_answer_says() {
    assert_eq!(reason(json!({ "active": false })).await, Some(Reason::Inactive));
    assert_eq!(reason(good_but("active", json!(false))).await, Some(Reason::Inactive));
}

#[tokio::test]
async fn an_answer_whose_active_is_not_a_boolean_is_a_503() {
    for active in [
        Value::Null,
        json!("false"),
        json!("true"),
        json!(1),
        json!([true]),
        json!({}),
    ] {
        let refused = judged(good_but("active", active.clone())).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Unavailable, "{active}");
    }
    assert_eq!(judged(json!({})).await.unwrap_err().kind(), RejectionKind::Unavailable);
}

#[tokio::test]
async fn an_answer_that_is_not_one_strict_json_object_is_a_503() {
    let repeated = r#"{"active":false,"active":true,"aud":"https://api.example","sub":"a"}"#;
    let deep = format!(
        r#"{{"active":true,"aud":"{API}","x":{}{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    for body in ["", "true", "[]", "{", r#"{"active":true} x"#, repeated, &deep] {
        let server = Server::new(json!({}));
        let body = body.to_owned();
        server.answers(move |_| Ok(ok(&body)));
        assert_eq!(Api::new(&server).status("t1").await, 503);
    }
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_in_an_active_answer_is_a_503() {
    for (name, value) in [
        ("exp", json!("1700003600")),
        ("aud", json!({})),
        ("scope", json!(7)),
        ("sub", json!(1)),
        ("token_type", json!(1)),
        ("cnf", json!("x")),
    ] {
        let refused = judged(good_but(name, value)).await.unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::Unavailable, "{name}");
    }
}

#[tokio::test]
async fn a_member_that_is_null_is_read_as_absent() {
    let mut answer = good();
    for name in ["nbf", "jti", "username", "nonce", "token_type", "iss", "cnf", "acr"] {
        answer[name] = Value::Null;
    }
    assert!(judged(answer).await.is_ok());
    let mut answer = good();
    answer["aud"] = Value::Null;
    assert_eq!(reason(answer).await, Some(Reason::Audience));
}

#[tokio::test]
async fn an_active_answer_whose_exp_has_passed_is_a_401() {
    assert_eq!(reason(good_but("exp", json!(NOW - 11))).await, Some(Reason::Expired));
}

#[tokio::test]
async fn an_active_answer_whose_nbf_or_iat_lies_ahead_is_a_401() {
    assert_eq!(
        reason(good_but("nbf", json!(NOW + 11))).await,
        Some(Reason::NotYetValid)
    );
    assert_eq!(
        reason(good_but("iat", json!(NOW + 11))).await,
        Some(Reason::NotYetValid)
    );
    assert!(judged(good_but("nbf", json!(NOW + 10))).await.is_ok());
}

#[tokio::test]
async fn the_audience_must_have_one_of_the_expected_values() {
    assert_eq!(
        reason(good_but("aud", json!("https://other.example"))).await,
        Some(Reason::Audience)
    );
    assert_eq!(
        reason(good_but("aud", json!("https://api.example/"))).await,
        Some(Reason::Audience)
    );
    assert_eq!(reason(good_but("aud", json!([]))).await, Some(Reason::Audience));
    assert!(
        judged(good_but("aud", json!(["https://other.example", API])))
            .await
            .is_ok()
    );
}

fn for_anybody(server: &Server) -> Api {
    let audience = Audience::dangerous_any_even_tokens_meant_for_others();
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), audience).unwrap();
    Api::of(validator.fetch(server.clone()))
}

#[tokio::test]
async fn an_answer_without_audience_is_refused_unless_that_is_given_up_by_its_long_name() {
    let answer = good_but("aud", Value::Null);
    assert_eq!(reason(answer.clone()).await, Some(Reason::Audience));
    assert_eq!(for_anybody(&Server::new(answer)).status("t1").await, 200);
}

#[tokio::test]
async fn the_issuer_if_named_must_be_the_expected_one() {
    let expecting = |validator: IntrospectionValidator| validator.issuer("https://as.example").unwrap();
    let other = Api::with(&Server::new(good_but("iss", json!("https://as.example/"))), expecting);
    assert_eq!(other.present("t1").await.unwrap_err().reason(), Some(Reason::Issuer));
    let same = Api::with(&Server::new(good_but("iss", json!("https://as.example"))), expecting);
    assert_eq!(same.status("t1").await, 200);
    let unnamed = Api::with(&Server::new(good()), expecting);
    assert_eq!(
        unnamed.present("t1").await.unwrap().issuer(),
        Some("https://as.example")
    );
}

#[tokio::test]
async fn an_active_token_of_another_type_is_a_401() {
    for (name, value) in [
        ("token_type", "refresh_token"),
        ("token_type", "N_A"),
        ("token_type", "mac"),
        ("token_use", "refresh_token"),
        ("token_use", "id"),
        ("typ", "ID"),
        ("typ", "Refresh"),
        ("typ", "Offline"),
        ("typ", "Logout"),
    ] {
        assert_eq!(
            reason(good_but(name, json!(value))).await,
            Some(Reason::Type),
            "{name} {value}"
        );
    }
}

#[tokio::test]
async fn the_types_of_access_tokens_are_let_in_in_any_case() {
    for (name, value) in [
        ("token_type", "Bearer"),
        ("token_type", "bearer"),
        ("token_type", "access_token"),
        ("token_use", "access_token"),
        ("token_use", "access"),
        ("typ", "Bearer"),
        ("typ", "at+jwt"),
        ("typ", "JWT"),
    ] {
        assert!(judged(good_but(name, json!(value))).await.is_ok(), "{name} {value}");
    }
}

#[tokio::test]
async fn a_dpop_token_is_bound_or_refused() {
    assert_eq!(
        reason(good_but("token_type", json!("DPoP"))).await,
        Some(Reason::Unbound)
    );
    let mut bound = good_but("token_type", json!("dpop"));
    bound["cnf"] = json!({ "jkt": "x" });
    let server = Server::new(bound);
    // The validator finds it good; the protector has no verifier for `cnf`.
    let api = Api::new(&server);
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Unbound));
    let known = presented("t1", api.clock.now(), |presented| api.validator.validate_now(presented));
    assert!(known.unwrap().is_ok());
}

#[tokio::test]
async fn the_signs_of_an_id_token_or_an_event_are_refused_unless_they_are_named() {
    for sign in ["nonce", "at_hash", "c_hash", "events"] {
        let answer = good_but(sign, json!("x"));
        assert_eq!(reason(answer.clone()).await, Some(Reason::Type), "{sign}");
        let named = Api::with(&Server::new(answer.clone()), |validator| {
            validator.access_tokens_may_carry(sign).unwrap()
        });
        assert_eq!(named.status("t1").await, 200);
    }
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    assert!(validator.access_tokens_may_carry("other").is_err());
}

#[tokio::test]
async fn an_answer_with_nothing_but_active_is_refused_even_without_an_expected_audience() {
    for bare in [json!({ "active": true }), json!({ "active": true, "scope": null })] {
        let refused = for_anybody(&Server::new(bare)).present("t1").await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::Type));
    }
}

#[tokio::test]
async fn without_scope_a_token_enters_where_none_is_needed_and_nowhere_else() {
    let api = Api::new(&Server::new(good_but("scope", Value::Null)));
    assert_eq!(api.status("t1").await, 200);
    let requiring = |layer: ResourceProtectorLayer| layer.requiring(Requirement::scope("profile").unwrap());
    let refused = api.through("t1", requiring).await.unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::InsufficientScope);
}

#[tokio::test]
async fn scopes_may_be_an_array() {
    let token = judged(good_but("scope", json!(["profile", "email"]))).await.unwrap();
    assert!(token.has_scope("email"));
}

#[tokio::test]
async fn claims_may_have_other_names() {
    let answer = json!({ "active": true, "resource": API, "azp": "app", "scp": ["profile"], "scope": "admin" });
    let api = Api::with(&Server::new(answer), |validator| {
        validator
            .audience_claim("resource")
            .unwrap()
            .client_id_claim("azp")
            .unwrap()
            .scope_claim("scp")
            .unwrap()
    });
    let token = api.present("t1").await.unwrap();
    assert_eq!(token.client_id(), Some("app"));
    assert!(token.has_scope("profile") && !token.has_scope("admin"));
}

#[tokio::test]
async fn an_answer_that_names_its_audience_is_judged_by_that() {
    let answer = json!({ "active": true, "aud": "https://other.example", "resource": API });
    let api = Api::with(&Server::new(answer), |validator| {
        validator.audience_claim("resource").unwrap()
    });
    assert_eq!(api.present("t1").await.unwrap_err().reason(), Some(Reason::Audience));
}

#[tokio::test]
async fn an_empty_answer_with_the_named_status_means_that_the_token_is_unknown() {
    let server = Server::new(good());
    server.answers(|_| Ok(with_status(401, "")));
    let private = || {
        IntrospectionValidator::new(ENDPOINT, ClientAuth::none_on_a_private_network(), API)
            .unwrap()
            .fetch(server.clone())
    };
    assert_eq!(Api::of(private()).status("t1").await, 500);
    let kanidm = || private().unknown_token_status(StatusCode::UNAUTHORIZED).unwrap();
    let refused = Api::of(kanidm()).present("t1").await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Inactive));
    // A 401 that says something says something else.
    server.answers(|_| Ok(with_status(401, r#"{"error":"invalid_client"}"#)));
    assert_eq!(Api::of(kanidm()).status("t1").await, 500);
    server.answers(|_| Ok(with_status(403, "")));
    assert_eq!(Api::of(kanidm()).status("t1").await, 500);
}

#[test]
fn where_credentials_are_sent_an_error_status_cannot_mean_an_unknown_token() {
    let asked = |auth| IntrospectionValidator::new(ENDPOINT, auth, API).unwrap();
    let status = StatusCode::UNAUTHORIZED;
    assert!(
        asked(ClientAuth::basic("api", "secret"))
            .unknown_token_status(status)
            .is_err()
    );
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY] {
        assert!(
            asked(ClientAuth::none_on_a_private_network())
                .unknown_token_status(status)
                .is_err()
        );
    }
}

#[tokio::test]
async fn answers_without_exp_are_refused_where_it_is_required() {
    let server = Server::new(good_but("exp", Value::Null));
    assert_eq!(Api::new(&server).status("t1").await, 200);
    let strict = Api::with(&server, IntrospectionValidator::expiry_required);
    assert_eq!(strict.present("t1").await.unwrap_err().reason(), Some(Reason::Claim));
    server.says(good());
    assert_eq!(strict.status("t2").await, 200);
}
