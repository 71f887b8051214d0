//! In which form a refusal is understood.

use http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts};

/// In which form the client of this request understands a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A status and JSON.
    Http,
    /// Trailers-only, with this content type.
    Grpc(HeaderValue),
}

/// Which forms other than HTTP are spoken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forms {
    /// Wins over the other.
    pub(crate) http_only: bool,
    pub(crate) grpc_web: bool,
}

impl Forms {
    /// gRPC is POST over HTTP/2 with its own content type. Anything less exact gets an HTTP status: a gRPC refusal is
    /// a 200, and a plain request must not be able to ask for one.
    pub(crate) fn of(self, request: &Parts) -> Form {
        self.of_request(&request.method, request.version, &request.headers)
    }

    pub(crate) fn of_request(self, method: &Method, version: Version, headers: &HeaderMap) -> Form {
        if method != Method::POST {
            return Form::Http;
        }
        let Some(sent) = headers.get(header::CONTENT_TYPE) else {
            return Form::Http;
        };
        let is = |media_type: &[u8]| {
            let rest = sent.as_bytes().strip_prefix(media_type);
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        };
        if !self.http_only && version == Version::HTTP_2 && is(b"application/grpc") {
            return Form::Grpc(HeaderValue::from_static("application/grpc"));
        }
        for (media_type, answer) in [
            ("application/grpc-web", "application/grpc-web+proto"),
            ("application/grpc-web-text", "application/grpc-web-text+proto"),
        ] {
            if self.grpc_web && !self.http_only && is(media_type.as_bytes()) {
                return Form::Grpc(HeaderValue::from_static(answer));
            }
        }
        Form::Http
    }
}
