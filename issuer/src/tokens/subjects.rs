//! Who may go on using what they were granted.

use std::{future::Future, pin::Pin};

use resource_protector::StoreError;

use crate::users::UserDirectory;

/// Says whether a subject may still get tokens. Every [`UserDirectory`] does: a user who is there and active.
pub trait SubjectRule: Send + Sync + 'static {
    /// Whether tokens may be issued about this subject: it exists, and is not disabled. Asked before every exchange of a code
    /// or a refresh token; who says yes too often leaves a disabled account its access.
    ///
    /// # Errors
    ///
    /// When it cannot be found out; the client is told to come again.
    fn may_have_tokens(&self, subject: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Who is disabled or gone gets no further tokens.
impl<D: UserDirectory> SubjectRule for D {
    async fn may_have_tokens(&self, subject: &str) -> Result<bool, StoreError> {
        let user = UserDirectory::find(self, subject).await?;
        Ok(user.is_some_and(|user| user.is_active))
    }
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
