//! Who may go on using what they were granted.

use std::{future::Future, pin::Pin};

use resource_protector::StoreError;

/// Says whether a subject may still get tokens. Whoever keeps the users implements it.
pub trait SubjectRule: Send + Sync + 'static {
    /// Whether tokens may be issued about this subject: it exists, and is not disabled. Asked before every exchange of a code
    /// or a refresh token; who says yes too often leaves a disabled account its access.
    ///
    /// # Errors
    ///
    /// When it cannot be found out; the client is told to come again.
    fn may_have_tokens(&self, subject: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A rule of any type.
pub(super) trait AnySubjectRule: Send + Sync {
    fn may_have_tokens<'a>(
        &'a self,
        subject: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + 'a>>;
}

impl<R: SubjectRule> AnySubjectRule for R {
    fn may_have_tokens<'a>(
        &'a self,
        subject: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + 'a>> {
        Box::pin(SubjectRule::may_have_tokens(self, subject))
    }
}
