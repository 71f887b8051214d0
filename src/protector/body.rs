//! The body of a response that may be a refusal.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of the protected service's response, or of a refusal.
    #[derive(Debug)]
    pub struct RefusalBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Refusal { json: Option<Bytes> },
    }
}

impl<B> RefusalBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    pub(crate) fn refusal(json: Option<Bytes>) -> Self {
        Self {
            kind: Kind::Refusal {
                json: json.filter(|json| !json.is_empty()),
            },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for RefusalBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Refusal { json } => Poll::Ready(json.take().map(|json| Ok(Frame::data(json)))),
        }
    }

    /// True from the start for an empty refusal, which makes a gRPC answer trailers-only.
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { json } => json.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { json } => SizeHint::with_exact(json.as_ref().map_or(0, |json| json.len() as u64)),
        }
    }
}
