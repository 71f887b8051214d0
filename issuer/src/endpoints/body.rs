//! The body of an answer.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of an answer of this crate: all of it is there, in one piece.
#[derive(Clone, Default)]
pub struct ResponseBody(Bytes);

impl ResponseBody {
    /// An empty one.
    pub(crate) fn empty() -> Self {
        Self::default()
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

impl std::fmt::Debug for ResponseBody {
    /// Without what is in it: tokens, among others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_is_one_frame_of_the_length_that_is_said_and_then_over() {
        let mut body = ResponseBody::from("token".to_owned());
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "token");
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn an_empty_body_has_no_frame() {
        assert!(ResponseBody::empty().is_end_stream());
        assert!(ResponseBody::empty().frame().await.is_none());
    }

    #[test]
    fn debug_shows_nothing_of_a_body() {
        let body = ResponseBody::from("token".to_owned());
        assert_eq!(format!("{body:?}"), "ResponseBody { .. }");
    }
}
