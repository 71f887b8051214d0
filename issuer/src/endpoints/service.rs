//! What makes a tower service of an endpoint.

/// Implements `Service` for an endpoint with an `async fn answer(&self, &Parts, body) -> Answer`.
macro_rules! service {
    ($endpoint:ty) => {
        impl<B> ::tower_service::Service<::http::Request<B>> for $endpoint
        where
            B: ::http_body::Body + Send + 'static,
            B::Data: Send,
            B::Error: Into<$crate::endpoints::BoxError>,
        {
            type Response = ::http::Response<$crate::endpoints::ResponseBody>;
            type Error = ::std::convert::Infallible;
            type Future = $crate::endpoints::EndpointFuture;

            fn poll_ready(
                &mut self,
                _: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<Result<(), ::std::convert::Infallible>> {
                ::std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: ::http::Request<B>) -> Self::Future {
                let endpoint = self.clone();
                let (parts, body) = request.into_parts();
                $crate::endpoints::EndpointFuture::new(async move { endpoint.answer(&parts, body).await })
            }
        }
    };
}

pub(crate) use service;
