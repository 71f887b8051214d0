//! A token in a form, and what becomes of the form.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Extension, Router, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, channel::Channel};
use proptest::prelude::*;
use resource_protector::{
    CurrentToken, FormBody, FormTokenLayer, Rejection, RejectionKind, ResourceProtectorLayer, require_scope,
};
use tokio::sync::Semaphore;
use tower::{Layer as _, Service as _, ServiceBuilder, ServiceExt as _};

use crate::support::{Known, Reply, assert_refused, protector};

/// A body of these frames, which says about its length what it is told to.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    hint: SizeHint,
}

impl Frames {
    fn new(frames: impl IntoIterator<Item = Result<Frame<Bytes>, &'static str>>) -> Self {
        Self {
            frames: frames.into_iter().collect(),
            hint: SizeHint::new(),
        }
    }

    fn data<const N: usize>(chunks: [&'static str; N]) -> Self {
        Self::new(chunks.map(|chunk| Ok(Frame::data(Bytes::from(chunk)))))
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

fn form<B>(body: B) -> Request<B> {
    Request::post("/orders")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
        .unwrap()
}

/// What came out at the end: all data, trailers, and the error that ended it.
#[derive(Debug, Default, PartialEq)]
struct Received {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    error: Option<String>,
}

async fn receive<B>(body: B) -> Received
where
    B: Body<Data = Bytes>,
    B::Error: ToString,
{
    let mut body = std::pin::pin!(body);
    let mut received = Received::default();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => received.data.extend_from_slice(&data),
            Ok(Err(trailers)) => received.trailers = trailers.into_trailers().ok(),
            Err(error) => {
                received.error = Some(error.to_string());
                break;
            }
        }
    }
    received
}

/// Sends a form through layer and protector: the answer, and in its extensions what the handler received.
async fn send_through<B>(layer: FormTokenLayer, protector: ResourceProtectorLayer, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: ToString,
{
    let handler = |request: Request<FormBody<B>>| async move {
        let subject = request
            .extensions()
            .get::<CurrentToken>()
            .map(|token| token.subject().unwrap_or_default().to_owned());
        let mut response = Response::new(Full::<Bytes>::from(subject.unwrap_or_else(|| "anonymous".to_owned())));
        let received = receive(request.into_body()).await;
        response.extensions_mut().insert(Arc::new(received));
        Ok::<_, Infallible>(response)
    };
    let service = ServiceBuilder::new().layer(layer).layer(protector).service_fn(handler);
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

async fn send<B>(request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: ToString,
{
    send_through(FormTokenLayer::new(), protector(), request).await
}

fn received(reply: &Reply) -> &Received {
    reply.extensions().get::<Arc<Received>>().unwrap()
}

#[track_caller]
fn assert_too_large(reply: &Reply) {
    assert_refused(reply, 413, Some("invalid_request"));
    assert_eq!(
        reply.extensions().get::<Rejection>().unwrap().kind(),
        RejectionKind::TooLarge
    );
}

#[tokio::test]
async fn a_token_in_a_form_enters_and_the_form_is_handed_on_byte_for_byte() {
    for text in [
        "access_token=a1",
        "item=book&access_token=a1&note=%C3%A9+%2B",
        "access%5Ftoken=a%31&access_token[]=x",
    ] {
        let reply = send(form(Full::<Bytes>::from(text))).await;
        assert_eq!(
            (reply.status().as_u16(), reply.body().as_ref()),
            (200, b"alice".as_slice())
        );
        assert_eq!(received(&reply).data, text.as_bytes());
    }
}

#[tokio::test]
async fn a_form_is_looked_at_where_its_body_has_a_meaning_and_its_type_says_so() {
    let text = || Full::<Bytes>::from("access_token=a1");
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        let mut request = form(text());
        *request.method_mut() = method;
        assert_eq!(send(request).await.status(), 200);
    }
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
        let mut request = form(text());
        *request.method_mut() = method;
        assert_refused(&send(request).await, 401, None);
    }
    for (content_type, is_form) in [
        ("application/x-www-form-urlencoded; charset=utf-8", true),
        ("Application/X-WWW-Form-Urlencoded ;a=b", true),
        ("multipart/form-data; boundary=x", false),
        ("application/json", false),
        ("text/plain", false),
        ("application/x-www-form-urlencodedx", false),
        ("text/plain; application/x-www-form-urlencoded", false),
        ("", false),
    ] {
        let mut request = form(text());
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        let status = send(request).await.status();
        assert_eq!(status, if is_form { 200 } else { 401 }, "{content_type}");
    }
    let mut twice = form(text());
    twice
        .headers_mut()
        .append(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_refused(&send(twice).await, 401, None);
    let mut coded = form(text());
    coded
        .headers_mut()
        .insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    assert_refused(&send(coded).await, 401, None);
    let mut untyped = form(text());
    untyped.headers_mut().remove(header::CONTENT_TYPE);
    assert_refused(&send(untyped).await, 401, None);
}

#[tokio::test]
async fn a_form_is_not_looked_at_unless_the_layer_stands_outside_of_the_protector() {
    let inside = ServiceBuilder::new()
        .layer(protector())
        .layer(FormTokenLayer::new())
        .service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let response = inside
        .oneshot(form(Full::<Bytes>::from("access_token=a1")))
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn a_form_token_that_cannot_be_read_is_400() {
    for text in [
        "access_token=",
        "access_token=a+1",
        "access_token=a1&access_token=a1",
        "access_token=a1&x=\u{e9}",
        "access_token=%FF",
    ] {
        assert_refused(
            &send(form(Full::<Bytes>::from(text))).await,
            400,
            Some("invalid_request"),
        );
    }
    let long = format!("access_token={}", "a".repeat(100));
    let layer = protector().max_authorization_length(99);
    let reply = send_through(FormTokenLayer::new(), layer, form(Full::<Bytes>::from(long))).await;
    assert_refused(&reply, 400, Some("invalid_request"));
}

#[tokio::test]
async fn a_form_without_a_token_is_handed_on_whatever_it_is() {
    for text in ["", "item=caf\u{e9}", "\u{0}\u{1}", "accesstoken=x"] {
        let mut request = form(Full::<Bytes>::from(text));
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, "Bearer a1".parse().unwrap());
        let reply = send(request).await;
        assert_eq!(
            (reply.status().as_u16(), &*received(&reply).data),
            (200, text.as_bytes())
        );
        assert_refused(&send(form(Full::<Bytes>::from(text))).await, 401, None);
    }
}

#[tokio::test]
async fn a_token_in_a_form_and_elsewhere_is_400_and_nobody_is_asked() {
    let known = Known::new();
    let layer = ResourceProtectorLayer::new(known.clone())
        .token_in_header("X-Access-Token")
        .unwrap()
        .dangerous_token_in_uri_query();
    for (uri, name, value) in [
        ("/", "authorization", "Bearer a1"),
        ("/", "authorization", "Bearer nope"),
        ("/", "authorization", "Basic YTpi"),
        ("/", "x-access-token", "a1"),
        ("/?access_token=a1", "accept", "*/*"),
    ] {
        let mut request = form(Full::<Bytes>::from("access_token=a1"));
        *request.uri_mut() = uri.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let reply = send_through(FormTokenLayer::new(), layer.clone(), request).await;
        assert_refused(&reply, 400, Some("invalid_request"));
    }
    assert_eq!(known.asked(), 0);
}

#[tokio::test]
async fn a_token_in_a_form_counts_before_a_cookie() {
    let layer = protector().token_in_cookie("token", [""; 0]).unwrap();
    let with_cookie = |text: &'static str| {
        let mut request = form(Full::<Bytes>::from(text));
        request
            .headers_mut()
            .insert(header::COOKIE, "token=nope".parse().unwrap());
        send_through(FormTokenLayer::new(), layer.clone(), request)
    };
    assert_eq!(with_cookie("access_token=a1").await.status(), 200);
    assert_refused(&with_cookie("access_token=?").await, 400, Some("invalid_request"));
    assert_eq!(with_cookie("item=book").await.status(), 403);
}

#[tokio::test]
async fn a_form_that_comes_in_pieces_is_read_and_its_trailers_stay() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let frames = ["acc", "", "ess_to", "ken=a", "1&x=y"].map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
    let body = Frames::new(frames.into_iter().chain([Ok(Frame::trailers(trailers.clone()))]));
    let reply = send(form(body)).await;
    let expected = Received {
        data: b"access_token=a1&x=y".to_vec(),
        trailers: Some(trailers),
        error: None,
    };
    assert_eq!((reply.status().as_u16(), received(&reply)), (200, &expected));
}

#[tokio::test]
async fn a_form_longer_than_the_limit_is_413_however_it_comes() {
    let layer = FormTokenLayer::new().max_length(15);
    let through = |body: Frames| send_through(layer, protector(), form(body));
    assert_eq!(through(Frames::data(["access_token=a1"])).await.status(), 200);
    assert_eq!(through(Frames::data(["access_token", "=a1"])).await.status(), 200);
    assert_too_large(&through(Frames::data(["access_token=a1&"])).await);
    assert_too_large(&through(Frames::data(["access_token=a1", "&"])).await);
    // By its announced length, before anything is read.
    let mut announced = Frames::new([Err("was read")]);
    announced.hint = SizeHint::with_exact(16);
    assert_too_large(&through(announced).await);
}

#[tokio::test]
async fn a_long_form_is_413_even_with_a_good_token_elsewhere() {
    let mut request = form(Full::<Bytes>::from("x".repeat(64 * 1024 + 1)));
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer a1".parse().unwrap());
    assert_too_large(&send(request).await);
    let mut request = form(Full::<Bytes>::from("x".repeat(64 * 1024)));
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer a1".parse().unwrap());
    assert_eq!(send(request).await.status(), 200);
}

/// Sends a form through the layer alone, as to a route that is not protected.
async fn unprotected<B>(layer: FormTokenLayer, body: B) -> (Received, SizeHint, bool)
where
    B: Body<Data = Bytes> + 'static,
    B::Error: ToString,
{
    let handler = |request: Request<FormBody<B>>| async move {
        let body = request.into_body();
        let (hint, ended) = (body.size_hint(), body.is_end_stream());
        Ok::<_, Infallible>((receive(body).await, hint, ended))
    };
    layer
        .layer(tower::service_fn(handler))
        .oneshot(form(body))
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_not_protected_gets_even_a_form_that_is_too_long_or_breaks_off() {
    let layer = FormTokenLayer::new().max_length(4);
    let (got, hint, _) = unprotected(layer, Frames::data(["abc", "defgh", "ij"])).await;
    assert_eq!((&*got.data, got.error), (b"abcdefghij".as_slice(), None));
    assert_eq!((hint.lower(), hint.upper()), (8, None));
    let broken = Frames::new([Ok(Frame::data("ab".into())), Err("broken off")]);
    let (got, ..) = unprotected(layer, broken).await;
    assert_eq!(
        (&*got.data, got.error.as_deref()),
        (b"ab".as_slice(), Some("broken off"))
    );
    let mut announced = Frames::data(["abc", "defgh"]);
    announced.hint = SizeHint::with_exact(8);
    let (got, hint, _) = unprotected(layer, announced).await;
    assert_eq!((&*got.data, hint.exact()), (b"abcdefgh".as_slice(), Some(8)));
}

#[tokio::test]
async fn a_form_that_was_read_says_how_long_it_is() {
    let (_, hint, ended) = unprotected(FormTokenLayer::new(), Frames::data(["abc", "de"])).await;
    assert_eq!((hint.exact(), ended), (Some(5), false));
    let (_, hint, ended) = unprotected(FormTokenLayer::new(), Frames::data([])).await;
    assert_eq!((hint.exact(), ended), (Some(0), true));
}

#[tokio::test]
async fn a_form_that_breaks_off_is_400() {
    let broken = Frames::new([Ok(Frame::data("access_token=a1".into())), Err("broken off")]);
    assert_refused(&send(form(broken)).await, 400, Some("invalid_request"));
}

#[tokio::test]
async fn a_body_that_is_no_form_is_not_touched() {
    let gate = Arc::new(Semaphore::new(0));
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let handler = |request: Request<FormBody<Channel<Bytes, Infallible>>>| {
        gate.add_permits(1);
        async move { Ok::<_, Infallible>(Response::new(Full::from(receive(request.into_body()).await.data))) }
    };
    let service = ServiceBuilder::new()
        .layer(FormTokenLayer::new())
        .layer(protector())
        .service_fn(handler);
    let request = Request::post("/").header(header::AUTHORIZATION, "Bearer a1");
    let mut sender = sender;
    let answer = service.oneshot(request.body(body).unwrap());
    let send = async {
        // The handler has the request before any of its body was sent.
        gate.acquire().await.unwrap().forget();
        sender.send_data("late".into()).await.unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(answer, send);
    assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), "late");
}

#[tokio::test]
async fn a_form_that_comes_slowly_holds_no_capacity_of_the_service() {
    let mut service = ServiceBuilder::new()
        .layer(FormTokenLayer::new())
        .layer(protector())
        .concurrency_limit(1)
        .service_fn(|request: Request<FormBody<Channel<Bytes, Infallible>>>| async move {
            Ok::<_, Infallible>(Response::new(Full::from(receive(request.into_body()).await.data)))
        });
    let (mut slow, body) = Channel::<Bytes, Infallible>::new(1);
    let waiting = tokio::spawn(service.ready().await.unwrap().call(form(body)));
    for _ in 0..3 {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        sender.send_data("access_token=a1".into()).await.unwrap();
        drop(sender);
        let response = service.ready().await.unwrap().call(form(body)).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    slow.send_data("access_token=both".into()).await.unwrap();
    drop(slow);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn the_layer_calls_only_a_service_that_was_polled_ready() {
    /// Panics when it is called without having been polled ready.
    struct Strict(bool);
    impl Clone for Strict {
        fn clone(&self) -> Self {
            Self(false)
        }
    }
    impl<B: Body> tower::Service<Request<FormBody<B>>> for Strict {
        type Response = StatusCode;
        type Error = Infallible;
        type Future = std::future::Ready<Result<StatusCode, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0 = true;
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<FormBody<B>>) -> Self::Future {
            assert!(std::mem::take(&mut self.0), "called without having been polled ready");
            std::future::ready(Ok(StatusCode::OK))
        }
    }
    let mut service = FormTokenLayer::new().layer(Strict(false));
    for i in 0..6 {
        let body = Full::<Bytes>::from(["a=b".to_owned(), "x".repeat(70_000)][i % 2].clone());
        let mut request = form(body);
        if i > 3 {
            *request.method_mut() = Method::GET;
        }
        let ready = tower::ServiceExt::<Request<Full<Bytes>>>::ready(&mut service)
            .await
            .unwrap();
        assert_eq!(ready.call(request).await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn an_outer_layer_leaves_its_finding_only_to_the_protector_of_the_same_request() {
    // A layer between changes what the inner one may look at: its finding replaces the outer one's.
    let no_form_any_more = tower::util::MapRequestLayer::new(|mut request: Request<FormBody<Full<Bytes>>>| {
        *request.method_mut() = Method::GET;
        request
    });
    let service = ServiceBuilder::new()
        .layer(FormTokenLayer::new())
        .layer(no_form_any_more)
        .layer(FormTokenLayer::new())
        .layer(protector())
        .service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let response = service
        .oneshot(form(Full::<Bytes>::from("access_token=a1")))
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn an_axum_router_serves_forms_with_their_token() {
    async fn echo(token: CurrentToken, Extension(prefix): Extension<&'static str>, form: String) -> String {
        format!("{prefix} {}: {form}", token.subject().unwrap())
    }
    let app = Router::new()
        .route("/orders", post(echo).layer(require_scope("profile")))
        .layer(Extension("for"))
        .layer(protector())
        .layer(FormTokenLayer::new());
    let text = "item=book&access_token=a1";
    let reply = app.clone().oneshot(form(axum::body::Body::from(text))).await.unwrap();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!("for alice: {text}"));
    let refused = app
        .oneshot(form(axum::body::Body::from("access_token=noscope")))
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
}

/// Sends these bytes to a server on loopback; the answer until the server closes the connection.
async fn exchange(request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = Router::new()
        .route("/orders", post(|_: CurrentToken, form: String| async { form }))
        .layer(protector())
        .layer(FormTokenLayer::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

const HEAD: &str =
    "POST /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test]
async fn a_chunked_form_is_read_from_the_wire() {
    let answer = exchange(&format!(
        "{HEAD}Transfer-Encoding: chunked\r\n\r\n7\r\nitem=a&\r\nf\r\naccess_token=a1\r\n0\r\n\r\n"
    ))
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\nitem=a&access_token=a1"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_form_that_announces_too_much_is_answered_without_waiting_for_it() {
    let answer = exchange(&format!("{HEAD}Content-Length: 65537\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_pieces_is_handed_on_as_it_came(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..6),
        limit in 0_usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all = chunks.concat();
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
        let (got, hint, _) = runtime.block_on(unprotected(FormTokenLayer::new().max_length(limit), Frames::new(frames)));
        prop_assert_eq!(&got.data, &all);
        prop_assert!(hint.lower() <= all.len() as u64 && hint.upper().is_none_or(|upper| upper >= all.len() as u64));
    }
}
