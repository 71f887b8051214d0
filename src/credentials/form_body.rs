//! A body that was looked into and is handed on as it came.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// A form on its way into memory.
pub(super) struct Reading<B: Body> {
    body: Option<Pin<Box<B>>>,
    limit: usize,
    read: Vec<u8>,
    end: Option<End<B::Error>>,
}

/// What ended the reading.
enum End<E> {
    /// The body is over.
    Over,
    /// A frame that is no data: trailers.
    Trailers(Frame<Bytes>),
    /// Data beyond the limit.
    TooLong(Bytes),
    Broken(E),
}

/// Why there is nothing to search.
pub(super) enum Unread {
    TooLong,
    Broken,
}

impl<B: Body<Data = Bytes>> Reading<B> {
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self {
            body: Some(Box::pin(body)),
            limit,
            read: Vec::new(),
            end: None,
        }
    }

    /// Ready when there is nothing more to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let (None, Some(body)) = (&self.end, &mut self.body) {
            match ready!(body.as_mut().poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.len() <= self.limit.saturating_sub(self.read.len()) => {
                    self.read.extend_from_slice(&data);
                }
                Some(Ok(Ok(data))) => self.end = Some(End::TooLong(data)),
                Some(Ok(Err(trailers))) => self.end = Some(End::Trailers(trailers)),
                Some(Err(error)) => self.end = Some(End::Broken(error)),
                None => {
                    self.body = None;
                    self.end = Some(End::Over);
                }
            }
        }
        Poll::Ready(())
    }

    /// The form, once it was read.
    pub(super) fn whole(&self) -> Result<&[u8], Unread> {
        match self.end {
            Some(End::TooLong(_)) => Err(Unread::TooLong),
            Some(End::Broken(_)) | None => Err(Unread::Broken),
            Some(End::Over | End::Trailers(_)) => Ok(&self.read),
        }
    }

    /// The body as it came: what was read, what ended the reading, and what was not read.
    pub(super) fn hand_on(&mut self) -> FormBody<B> {
        let read = Bytes::from(mem::take(&mut self.read));
        let end = match self.end.take() {
            Some(End::TooLong(data)) => Some(Ok(Frame::data(data))),
            Some(End::Trailers(trailers)) => Some(Ok(trailers)),
            Some(End::Broken(error)) => Some(Err(error)),
            Some(End::Over) | None => None,
        };
        FormBody {
            kind: Kind::Read {
                read: Some(read).filter(|read| !read.is_empty()),
                end,
                rest: self.body.take(),
            },
        }
    }
}

pin_project! {
    /// The body of a request behind a [`FormTokenLayer`](crate::FormTokenLayer): the same bytes and trailers as before it.
    pub struct FormBody<B: Body> {
        #[pin]
        kind: Kind<B, B::Error>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B, E> {
        Untouched { #[pin] body: B },
        Read {
            read: Option<Bytes>,
            end: Option<Result<Frame<Bytes>, E>>,
            rest: Option<Pin<Box<B>>>,
        },
    }
}

impl<B: Body> FormBody<B> {
    pub(super) fn untouched(body: B) -> Self {
        Self {
            kind: Kind::Untouched { body },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for FormBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Untouched { body } => body.poll_frame(cx),
            KindProjection::Read { read, end, rest } => {
                if let Some(data) = read.take() {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                if let Some(frame) = end.take() {
                    return Poll::Ready(Some(frame));
                }
                match rest {
                    Some(rest) => rest.as_mut().poll_frame(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Untouched { body } => body.is_end_stream(),
            Kind::Read { read, end, rest } => {
                read.is_none() && end.is_none() && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (read, end, rest) = match &self.kind {
            Kind::Untouched { body } => return body.size_hint(),
            Kind::Read { read, end, rest } => (read, end, rest),
        };
        let end = end.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let known = [read.as_ref(), end].into_iter().flatten();
        let known: u64 = known.map(|data| data.len() as u64).sum();
        let mut hint = SizeHint::new();
        match rest.as_ref().map_or(SizeHint::with_exact(0), |rest| rest.size_hint()) {
            rest if rest.upper().is_none() => hint.set_lower(rest.lower().saturating_add(known)),
            rest => {
                hint.set_upper(rest.upper().unwrap_or_default().saturating_add(known));
                hint.set_lower(rest.lower().saturating_add(known));
            }
        }
        hint
    }
}
