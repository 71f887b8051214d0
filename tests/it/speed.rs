//! What a request costs whose token was verified before. How long it takes is for `benches/`; this can be counted.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use resource_protector::{JwtValidator, ResourceProtectorLayer, testing::TestIssuer};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::support::Strict;

/// The allocations of one call that waits for nothing, the making of its request included.
fn allocations<S, B>(service: &mut S, authorization: &HeaderValue) -> u64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    let mut context = Context::from_waker(Waker::noop());
    let counted = measure(|| {
        assert!(service.poll_ready(&mut context).is_ready());
        let mut request = Request::new(Full::default());
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization.clone());
        match pin!(service.call(request)).poll(&mut context) {
            Poll::Ready(Ok(response)) => assert_eq!(response.status(), 200),
            _ => panic!("no answer at once"),
        }
    });
    counted.count_total
}

#[tokio::test]
async fn a_remembered_token_costs_at_most_three_allocations_more_than_the_bare_service() {
    let issuer = TestIssuer::new("https://auth.test");
    let tokens = JwtValidator::discover(issuer.url(), "https://api.test").unwrap();
    let mut bare = Strict::new(<_>::default());
    let mut protected = ResourceProtectorLayer::new(tokens.fetch(issuer.clone())).layer(bare.clone());
    let token = issuer.access_token("https://api.test").scope("profile email").mint();
    let authorization = HeaderValue::try_from(format!("Bearer {token}")).unwrap();

    // The keys have to be waited for, once.
    let mut first = Request::new(Full::default());
    first.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    assert_eq!(
        protected.ready().await.unwrap().call(first).await.unwrap().status(),
        200
    );

    let without = allocations(&mut bare, &authorization);
    // A cache that tidies up now and then is to do it within the bound, too.
    let most = (0..1000)
        .map(|_| allocations(&mut protected, &authorization))
        .max()
        .unwrap();
    assert!(most <= without + 3, "{most} allocations, {without} without the layer");
}
