//! The refusal table, over HTTP and gRPC, and how an application replaces it.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use http_body_util::Full;
use resource_protector::{
    FormTokenLayer, Rejection, RejectionKind, Requirement, ResourceProtectorLayer, require_scope,
};
use tower::{Layer as _, ServiceBuilder};
use tower_http::{compression::CompressionLayer, trace::TraceLayer};

use crate::support::{Known, Reply, ask, ask_behind, assert_refused, challenge, grpc, hello, protector, request};

#[tokio::test]
async fn an_outage_is_503_with_retry_after_and_never_401() {
    assert_refused(
        &ask_behind(&protector(), request(&["Bearer down"])).await,
        503,
        Some("temporarily_unavailable"),
    );
}

#[tokio::test]
async fn our_own_fault_is_500() {
    assert_refused(
        &ask_behind(&protector(), request(&["Bearer broken"])).await,
        500,
        Some("server_error"),
    );
}

#[tokio::test]
async fn the_kind_stands_in_the_extensions_for_layers_outside() {
    let reply = ask_behind(&protector(), request(&["Bearer down"])).await;
    assert_eq!(
        reply.extensions().get::<Rejection>().unwrap().kind(),
        RejectionKind::Unavailable
    );
}

#[track_caller]
fn assert_grpc(reply: &Reply, status: &str, www_authenticate: bool) {
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()[header::CONTENT_TYPE], "application/grpc");
    assert_eq!(reply.headers()["grpc-status"], status);
    assert!(!reply.headers()["grpc-message"].is_empty());
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(reply.headers().contains_key(header::WWW_AUTHENTICATE), www_authenticate);
    assert!(reply.body().is_empty());
}

#[tokio::test]
async fn grpc_gets_its_own_status_and_an_empty_body() {
    let guarded = || {
        ServiceBuilder::new()
            .layer(protector())
            .layer(require_scope("admin"))
            .service_fn(hello)
    };
    for (token, status, www_authenticate) in [
        (None, "16", true),
        (Some("a=b"), "16", true),
        (Some("nope"), "16", true),
        (Some("exp"), "16", true),
        (Some("a1"), "7", true),
        (Some("down"), "14", false),
        (Some("broken"), "13", false),
    ] {
        assert_grpc(&ask(guarded(), grpc(token)).await, status, www_authenticate);
    }
}

#[tokio::test]
async fn a_grpc_refusal_ends_with_its_headers() {
    use http_body::Body as _;
    use tower::ServiceExt as _;
    let response = protector()
        .layer(tower::service_fn(hello))
        .oneshot(grpc(None))
        .await
        .unwrap();
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn only_a_real_grpc_request_gets_a_200_for_a_refusal() {
    let plain = |method: Method, version, content_type: &'static str| {
        let mut request = grpc(None);
        *request.method_mut() = method;
        *request.version_mut() = version;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request
    };
    for request in [
        plain(Method::GET, Version::HTTP_2, "application/grpc"),
        plain(Method::POST, Version::HTTP_11, "application/grpc"),
        plain(Method::POST, Version::HTTP_2, "application/grpcx"),
        plain(Method::POST, Version::HTTP_2, "application/grpc-web+proto"),
        plain(Method::POST, Version::HTTP_2, " application/grpc"),
        plain(Method::POST, Version::HTTP_2, "Application/JSON"),
    ] {
        assert_refused(&ask_behind(&protector(), request).await, 401, None);
    }
    for content_type in [
        "application/grpc",
        "application/grpc+json",
        "application/grpc;charset=utf-8",
    ] {
        let request = plain(Method::POST, Version::HTTP_2, content_type);
        assert_grpc(&ask_behind(&protector(), request).await, "16", true);
    }
}

#[tokio::test]
async fn the_grpc_form_can_be_switched_off() {
    assert_refused(
        &ask_behind(&protector().http_refusals_only(), grpc(None)).await,
        401,
        None,
    );
    let mut web = grpc(None);
    web.headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web"));
    let http_only = protector().http_refusals_only().grpc_web_refusals();
    assert_refused(&ask_behind(&http_only, web).await, 401, None);
}

#[tokio::test]
async fn grpc_web_is_answered_in_its_content_type_where_switched_on() {
    for (asked, answered) in [
        ("application/grpc-web", "application/grpc-web+proto"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/grpc-web-text", "application/grpc-web-text+proto"),
    ] {
        let mut request = grpc(None);
        *request.version_mut() = Version::HTTP_11;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(asked));
        let reply = ask_behind(&protector().grpc_web_refusals(), request).await;
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["grpc-status"]),
            (200, &HeaderValue::from_static("16"))
        );
        assert_eq!(reply.headers()[header::CONTENT_TYPE], answered);
    }
}

#[tokio::test]
async fn an_inner_refusal_is_completed_through_compression_and_tracing() {
    let service = ServiceBuilder::new()
        .layer(protector())
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new())
        .layer(require_scope("admin"))
        .service_fn(hello);
    let mut request = request(&["Bearer a1"]);
    request
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let reply = ask(service, request).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert!(challenge(&reply).starts_with(r#"Bearer realm="api", "#));
    assert!(!reply.headers().contains_key(header::CONTENT_ENCODING));
}

#[tokio::test]
async fn headers_of_layers_between_guard_and_protector_stay() {
    let between = tower::util::MapResponseLayer::new(|mut response: Response<_>| {
        response
            .headers_mut()
            .insert("x-request-id", HeaderValue::from_static("7"));
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_static("b=2"));
        for policy in ["frame-ancestors 'none'", "default-src 'self'"] {
            let policy = HeaderValue::from_static(policy);
            response.headers_mut().append(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    });
    let service = ServiceBuilder::new()
        .layer(protector())
        .layer(between)
        .layer(require_scope("admin"))
        .service_fn(hello);
    let reply = ask(service, request(&["Bearer a1"])).await;
    assert_refused(&reply, 403, Some("insufficient_scope"));
    assert_eq!(reply.headers()["x-request-id"], "7");
    assert_eq!(reply.headers().get_all(header::SET_COOKIE).iter().count(), 2);
    let policies = reply.headers().get_all(header::CONTENT_SECURITY_POLICY);
    assert_eq!(policies.iter().count(), 2);
}

#[tokio::test]
async fn an_application_can_replace_refusals_but_not_make_them_successes() {
    let problem = protector().replace_refusals(|rejection, response| {
        let mut replaced = Response::new(format!("problem {}", response.status().as_u16()).into());
        *replaced.status_mut() = match rejection.kind() {
            RejectionKind::InvalidToken => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        replaced
    });
    let reply = ask_behind(&problem, request(&["Bearer nope"])).await;
    assert_eq!(
        (reply.status().as_u16(), reply.body().as_ref()),
        (401, b"problem 401".as_slice())
    );
    assert!(challenge(&reply).contains("invalid_token"));
    assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
    let reply = ask_behind(&problem, request(&["Bearer down"])).await;
    assert_eq!(
        (reply.status().as_u16(), reply.body().as_ref()),
        (401, b"problem 503".as_slice())
    );
    assert_eq!(challenge(&reply), r#"Bearer realm="api""#);
}

#[tokio::test]
async fn an_application_can_give_each_kind_of_refusal_a_look_of_its_own() {
    let layer = protector()
        .token_in_cookie("token", [""; 0])
        .unwrap()
        .requiring(Requirement::scope("admin").unwrap())
        .replace_refusals(|rejection, response| response.map(|_| format!("{:?}", rejection.kind()).into()));
    for (fields, status, kind) in [
        (&[][..], 401, "NoCredentials"),
        (&["Bearer"], 400, "Malformed"),
        (&["Bearer nope"], 401, "InvalidToken"),
        (&["Bearer a1"], 403, "InsufficientScope"),
        (&["Bearer down"], 503, "Unavailable"),
        (&["Bearer broken"], 500, "Misconfigured"),
    ] {
        let reply = ask_behind(&layer, request(fields)).await;
        assert_eq!(
            (reply.status().as_u16(), reply.body().as_ref()),
            (status, kind.as_bytes())
        );
    }
    let mut forged = request(&[]);
    *forged.method_mut() = Method::POST;
    forged.headers_mut().insert(header::COOKIE, "token=a1".parse().unwrap());
    let reply = ask_behind(&layer, forged).await;
    assert_eq!(
        (reply.status().as_u16(), reply.body().as_ref()),
        (403, b"CrossSite".as_slice())
    );

    let service = ServiceBuilder::new()
        .layer(FormTokenLayer::new().max_length(0))
        .layer(layer)
        .service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())) });
    let mut long = request(&[]).map(|_| Full::<Bytes>::from("x"));
    *long.method_mut() = Method::POST;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    long.headers_mut().insert(header::CONTENT_TYPE, form);
    let reply = ask(service, long).await;
    assert_eq!(
        (reply.status().as_u16(), reply.body().as_ref()),
        (413, b"TooLarge".as_slice())
    );
}

#[tokio::test]
async fn a_refusal_of_an_inner_protector_keeps_its_own_realm() {
    let inner = ResourceProtectorLayer::new(Known::new()).realm("inner");
    let service = ServiceBuilder::new()
        .layer(protector().optional())
        .layer(inner)
        .service_fn(hello);
    let reply = ask(service, request(&[])).await;
    assert_refused(&reply, 401, None);
    assert_eq!(challenge(&reply), r#"Bearer realm="inner""#);
}
