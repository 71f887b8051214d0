//! The smallest layer around huskarl's validator, which comes without one for tower.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;
use tower::{Layer, Service};

#[derive(Clone)]
pub struct Huskarl(pub Arc<Rfc9068Validator>);

#[derive(Clone)]
pub struct HuskarlService<S> {
    validator: Arc<Rfc9068Validator>,
    inner: S,
}

impl<S> Layer<S> for Huskarl {
    type Service = HuskarlService<S>;

    fn layer(&self, inner: S) -> HuskarlService<S> {
        HuskarlService {
            validator: Arc::clone(&self.0),
            inner,
        }
    }
}

impl<S, In, Out> Service<Request<In>> for HuskarlService<S>
where
    S: Service<Request<In>, Response = Response<Out>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: Default,
{
    type Response = Response<Out>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Out>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let validator = Arc::clone(&self.validator);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let asked = validator.validate_request(&parts.headers, &parts.method, &parts.uri, None);
            match asked.await.outcome {
                Ok(Some(token)) => {
                    parts.extensions.insert(Arc::new(token));
                    inner.call(Request::from_parts(parts, body)).await
                }
                _ => {
                    let mut refusal = Response::new(Out::default());
                    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
                    Ok(refusal)
                }
            }
        })
    }
}
