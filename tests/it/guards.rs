//! Cases 28–52: what a route demands, and what is answered when a token lacks it.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use resource_protector::{
    CurrentToken, RequireLayer, Requirement, ResourceProtectorLayer, require, require_any_scope, require_by_path,
    require_scope, require_scopes, require_token,
};
use tower::{Layer as _, ServiceBuilder};

use crate::support::{Known, Reply, ask, assert_refused, challenge, hello, protector, request};

async fn ask_guarded(guard: RequireLayer, token: &str) -> Reply {
    let service = ServiceBuilder::new().layer(protector()).layer(guard).service_fn(hello);
    ask(service, request(&[&format!("Bearer {token}")])).await
}

async fn status(guard: RequireLayer, token: &str) -> u16 {
    ask_guarded(guard, token).await.status().as_u16()
}

#[tokio::test]
async fn a_token_with_the_scope_gets_through() {
    assert_eq!(status(require_scope("profile"), "a1").await, 200);
}

#[tokio::test]
async fn a_missing_scope_is_403_and_the_challenge_names_it() {
    for token in ["noscope", "case", "longer"] {
        let reply = ask_guarded(require_scope("profile"), token).await;
        assert_refused(&reply, 403, Some("insufficient_scope"));
        assert!(challenge(&reply).starts_with(r#"Bearer realm="api", error="insufficient_scope", "#));
        assert!(
            challenge(&reply).ends_with(r#", scope="profile""#),
            "{}",
            challenge(&reply)
        );
    }
}

#[tokio::test]
async fn an_expired_token_is_401_even_if_its_scope_would_not_do_either() {
    assert_refused(
        &ask_guarded(require_scope("admin"), "exp").await,
        401,
        Some("invalid_token"),
    );
}

#[tokio::test]
async fn all_of_a_spaced_string_and_any_of_a_list() {
    for (guard, expected) in [
        (require_scope("profile email"), [403, 200, 403]),
        (require_scopes(["profile email"]), [403, 200, 403]),
        (require_scopes(["profile", "email"]), [403, 200, 403]),
        (require_any_scope(["profile", "email"]), [200, 200, 403]),
        (require_any_scope(["profile email", "admin"]), [403, 200, 403]),
        (require_token(), [200, 200, 200]),
        (require_scopes([""; 0]), [200, 200, 200]),
    ] {
        for (token, expected) in ["a1", "both", "noscope"].into_iter().zip(expected) {
            assert_eq!(status(guard.clone(), token).await, expected, "{guard:?} {token}");
        }
    }
}

#[tokio::test]
async fn a_guard_without_scope_still_needs_a_valid_token() {
    let service = || {
        ServiceBuilder::new()
            .layer(protector())
            .layer(require_token())
            .service_fn(hello)
    };
    assert_refused(&ask(service(), request(&[])).await, 401, None);
    assert_refused(
        &ask(service(), request(&["Bearer exp"])).await,
        401,
        Some("invalid_token"),
    );
}

#[test]
#[should_panic(expected = "expected a scope, got a blank one")]
fn a_blank_scope_is_refused_when_the_guard_is_built() {
    let _ = require_scope("");
}

#[test]
#[should_panic(expected = "expected a scope, got a blank one")]
fn a_blank_alternative_is_refused_when_the_guard_is_built() {
    let _ = require_any_scope(["admin", ""]);
}

#[tokio::test]
async fn a_guard_without_a_protector_lets_nothing_through() {
    for guard in [
        require_scope("profile"),
        require_token(),
        require_token().or_anonymous(),
    ] {
        let reply = ask(guard.layer(tower::service_fn(hello)), request(&["Bearer a1"])).await;
        assert_refused(&reply, 500, Some("server_error"));
    }
}

#[tokio::test]
async fn nested_guards_name_all_their_scopes_in_one_challenge() {
    let service = ServiceBuilder::new()
        .layer(protector().requiring(Requirement::scope("profile").unwrap()))
        .layer(require_any_scope(["email", "root"]))
        .layer(require_scope("admin"))
        .service_fn(hello);
    let reply = ask(service, request(&["Bearer both"])).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(
        challenge(&reply).ends_with(r#", scope="profile email admin""#),
        "{}",
        challenge(&reply)
    );
}

#[tokio::test]
async fn a_check_inside_a_handler_is_answered_with_realm_and_outer_scopes() {
    let handler = |request: Request<Full<Bytes>>| async move {
        let token = request.extensions().get::<CurrentToken>().unwrap();
        let refusal = token.require(&Requirement::scope("delete").unwrap()).unwrap_err();
        let mut response = Response::new(Full::from("handler"));
        response.extensions_mut().insert(refusal);
        Ok::<_, std::convert::Infallible>(response)
    };
    let service = ServiceBuilder::new()
        .layer(protector())
        .layer(require_scope("profile"))
        .service_fn(handler);
    let reply = ask(service, request(&["Bearer a1"])).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(challenge(&reply).starts_with(r#"Bearer realm="api", "#));
    assert!(challenge(&reply).ends_with(r#", scope="profile delete""#));
}

#[tokio::test]
async fn the_protector_itself_can_demand_scopes_and_names_them_from_the_start() {
    let protector = protector().requiring(Requirement::scope("profile email").unwrap());
    let service = || protector.layer(tower::service_fn(hello));
    let bare = ask(service(), request(&[])).await;
    assert_refused(&bare, 401, None);
    assert_eq!(challenge(&bare), r#"Bearer realm="api", scope="profile email""#);
    assert_refused(
        &ask(service(), request(&["Bearer a1"])).await,
        403,
        Some("insufficient_scope"),
    );
    assert_eq!(ask(service(), request(&["Bearer both"])).await.status(), 200);
}

#[tokio::test]
async fn one_guard_can_demand_by_path_and_refuses_what_it_does_not_know() {
    let guard = require_by_path(
        Requirement::scope("admin").unwrap(),
        [("/pkg.Service/Get", Requirement::scope("profile").unwrap())],
    )
    .unwrap();
    for (path, expected) in [
        ("/pkg.Service/Get", 200),
        ("/pkg.Service/Delete", 403),
        ("/pkg.Service/get", 403),
        ("/pkg.Service/Get/", 403),
        ("//pkg.Service/Get", 403),
        ("/pkg.Service/%47et", 403),
    ] {
        let service = ServiceBuilder::new()
            .layer(protector())
            .layer(guard.clone())
            .service_fn(hello);
        let mut request = request(&["Bearer a1"]);
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(ask(service, request).await.status(), expected, "{path}");
    }
    assert!(require_by_path(Requirement::valid_token(), [("pkg", Requirement::valid_token())]).is_err());
    assert!(
        require_by_path(
            Requirement::valid_token(),
            [("/a", Requirement::valid_token()), ("/a", Requirement::valid_token())]
        )
        .is_err()
    );
}

#[tokio::test]
async fn a_scope_hierarchy_reaches_every_guard_and_the_handler() {
    let protector = ResourceProtectorLayer::new(Known::new())
        .scope_hierarchy(|granted, demanded| demanded.strip_prefix(granted).is_some_and(|rest| rest.starts_with(':')));
    let handler = |request: Request<Full<Bytes>>| async move {
        let token = request.extensions().get::<CurrentToken>().unwrap();
        assert!(token.has_scope("profile:read") && token.has_scope("profile") && !token.has_scope("profiles"));
        hello(request).await
    };
    let service = ServiceBuilder::new()
        .layer(protector)
        .layer(require_scope("profile:read"))
        .service_fn(handler);
    assert_eq!(ask(service.clone(), request(&["Bearer a1"])).await.status(), 200);
    assert_eq!(ask(service, request(&["Bearer noscope"])).await.status(), 403);
}

#[tokio::test]
async fn a_token_bound_to_its_sender_is_refused_as_a_plain_bearer() {
    assert_refused(
        &ask_guarded(require(Requirement::valid_token()), "bound").await,
        401,
        Some("invalid_token"),
    );
}

#[tokio::test]
async fn headers_cannot_make_up_a_token() {
    let mut forged = request(&[]);
    for (name, value) in [
        ("x-current-token", "a1"),
        ("x-user", "alice"),
        ("current-token", "alice"),
    ] {
        forged.headers_mut().insert(name, value.parse().unwrap());
    }
    let service = ServiceBuilder::new()
        .layer(protector())
        .layer(require_token())
        .service_fn(hello);
    assert_refused(&ask(service, forged).await, 401, None);
}

#[tokio::test]
async fn a_route_sees_its_own_requirement_for_the_same_token() {
    assert_eq!(status(require_scope("profile"), "a1").await, 200);
    assert_eq!(status(require_scope("email"), "a1").await, 403);
}
