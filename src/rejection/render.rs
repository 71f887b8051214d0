//! A refusal becomes a response, here and nowhere else.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{self, HeaderName},
};

use super::{Form, Rejection, RejectionKind};
use crate::{challenge::ChallengeParams, protector::RefusalBody, require::Demands};

/// Replaces the response to a refusal; set by [`ResourceProtectorLayer::replace_refusals`](crate::ResourceProtectorLayer::replace_refusals).
pub(crate) type ReplaceRefusal = dyn Fn(&Rejection, Response<Bytes>) -> Response<Bytes> + Send + Sync;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What describes a refusal or its body, and is written anew when the protector completes it.
const REPLACED_HEADERS: [HeaderName; 14] = [
    header::WWW_AUTHENTICATE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::ETAG,
    header::LAST_MODIFIED,
    GRPC_STATUS,
    GRPC_MESSAGE,
];

impl Rejection {
    fn challenge(&self, params: &ChallengeParams) -> Option<HeaderValue> {
        match self.0.kind {
            // Other credentials would be no better.
            RejectionKind::CrossSite
            | RejectionKind::TooLarge
            | RejectionKind::Unavailable
            | RejectionKind::Misconfigured => None,
            _ => Some(params.challenge(self.error(), &self.0.demands)),
        }
    }

    /// Renders the refusal: headers, JSON or trailers-only, everything but what an application replaces.
    fn render(&self, form: Form, params: &ChallengeParams) -> Response<Option<Bytes>> {
        let mut response = Response::new(None);
        let error = self.error();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge(params) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.0.kind == RejectionKind::Unavailable {
            let wait = self
                .0
                .retry_after
                .unwrap_or(Duration::from_secs(1))
                .as_secs_f64()
                .ceil();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded just before"
            )]
            let seconds = wait.clamp(1.0, 3600.0) as u32;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match form {
            Form::Grpc(content_type) => {
                headers.insert(header::CONTENT_TYPE, content_type);
                headers.insert(GRPC_STATUS, HeaderValue::from_static(self.grpc_status()));
                let message = error.map_or("An access token is needed", |error| error.sentence);
                headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
            }
            Form::Http => {
                *response.status_mut() = self.status();
                if let Some(error) = error {
                    response
                        .headers_mut()
                        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    *response.body_mut() = Some(error.json());
                }
            }
        }
        response
    }

    /// The whole response, by itself: what a guard or an extractor answers before a protector completes it.
    pub(crate) fn by_itself<B>(self, form: Form) -> Response<RefusalBody<B>> {
        let response = self.render(form, &ChallengeParams::default()).map(RefusalBody::refusal);
        self.attach(response)
    }

    /// The whole response, as the protector gives it.
    pub(crate) fn into_final_response<B>(
        mut self,
        form: Form,
        params: &ChallengeParams,
        replace: Option<&ReplaceRefusal>,
    ) -> Response<RefusalBody<B>> {
        self.0.rendered = true;
        let is_http = matches!(form, Form::Http);
        let mut response = self.render(form, params);
        if let Some(replace) = replace.filter(|_| is_http) {
            let ours = (
                response.status(),
                response.headers().get(header::WWW_AUTHENTICATE).cloned(),
            );
            let mut replaced = replace(&self, response.map(Option::unwrap_or_default));
            // Whatever the application makes of it, it stays a refusal, and a 401 names a way in (RFC 9110 §11.6.1).
            if replaced.status().as_u16() < 400 {
                tracing::error!(target: "resource_protector::decision", status = %replaced.status(), "a replaced refusal must have a status of 400 or above");
                *replaced.status_mut() = ours.0;
            }
            if replaced.status() == StatusCode::UNAUTHORIZED
                && !replaced.headers().contains_key(header::WWW_AUTHENTICATE)
            {
                let challenge = ours.1.unwrap_or_else(|| params.challenge(None, &Demands::default()));
                replaced.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            replaced
                .headers_mut()
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            response = replaced.map(Some);
        }
        self.attach(response.map(RefusalBody::refusal))
    }

    /// Completes a refusal that was made further in, keeping the headers that layers between have added.
    pub(crate) fn complete<B>(
        self,
        passing: Response<B>,
        form: Form,
        params: &ChallengeParams,
        replace: Option<&ReplaceRefusal>,
    ) -> Response<RefusalBody<B>> {
        let mut kept = passing.into_parts().0;
        for name in REPLACED_HEADERS {
            kept.headers.remove(name);
        }
        let mut response = self.into_final_response(form, params, replace);
        let ours: Vec<HeaderName> = response.headers().keys().cloned().collect();
        for (name, value) in &kept.headers {
            if !ours.contains(name) || name == header::VARY {
                response.headers_mut().append(name, value.clone());
            }
        }
        // The refusal as it is now, among what layers between have left there.
        if let Some(rejection) = response.extensions_mut().remove::<Self>() {
            kept.extensions.insert(rejection);
        }
        *response.extensions_mut() = kept.extensions;
        response
    }

    fn attach<B>(self, mut response: Response<B>) -> Response<B> {
        response.extensions_mut().insert(self);
        response
    }
}
