//! Who can log in.

#[cfg(any(test, feature = "testing"))]
mod cheap;
mod passwords;
mod stored;
mod username;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub use self::{
    passwords::Passwords,
    stored::{StoredUsers, UserError},
    username::Username,
};
use crate::store::StoreError;

/// Somebody who can log in.
///
/// ```
/// use resource_protector_issuer::users::User;
///
/// /// A row of a table of yours.
/// struct Member {
///     id: i64,
///     login: String,
///     name: Option<String>,
///     is_locked: bool,
/// }
///
/// fn user(member: Member) -> User {
///     let mut user = User::new(format!("member-{}", member.id), member.login, !member.is_locked);
///     user.display_name = member.name;
///     user
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Who it is, in tokens (`sub`): the same for ever, and never given to anybody else, so no name that can be changed or
    /// that is free again when its user is gone.
    pub subject: String,
    /// What the user writes into the form.
    pub username: String,
    /// How pages call the user; by the username, if there is nothing else.
    pub display_name: Option<String>,
    /// Whether the user may log in. One who may not is refused in the same words as a wrong password.
    pub is_active: bool,
}

impl User {
    /// Somebody of this subject and this username. Whether the user may log in has no default: where it is forgotten, who was shut
    /// out comes in.
    pub fn new(subject: impl Into<String>, username: impl Into<String>, is_active: bool) -> Self {
        Self {
            subject: subject.into(),
            username: username.into(),
            display_name: None,
            is_active,
        }
    }

    /// How pages call the user.
    pub fn shown_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.username)
    }
}

impl fmt::Debug for User {
    /// Neither name nor subject: logs have no people in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("is_active", &self.is_active)
            .finish_non_exhaustive()
    }
}

/// The users. Implement it for a table of your own; [`StoredUsers`] is the one that is here.
///
/// Every method gives up after a time of its own choosing: a request waits for it.
pub trait UserDirectory: Send + Sync + 'static {
    /// The user of this name, if the password is right and the user may log in; `None` in every other case.
    ///
    /// Both come from a form as they were typed, of any length; [`Username::parse`] and [`Passwords`] have limits. An unknown
    /// name has to take the same time as a wrong password, or else the time tells who has an account here.
    ///
    /// # Errors
    ///
    /// When it cannot be found out; the browser is told to come again.
    fn authenticate(
        &self,
        username: &str,
        password: &str,
    ) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// The user that this subject is, be it one who may log in or not.
    ///
    /// # Errors
    ///
    /// When it cannot be found out.
    fn find(&self, subject: &str) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;
}

impl<D: UserDirectory> UserDirectory for Arc<D> {
    fn authenticate(
        &self,
        username: &str,
        password: &str,
    ) -> impl Future<Output = Result<Option<User>, StoreError>> + Send {
        D::authenticate(self, username, password)
    }

    fn find(&self, subject: &str) -> impl Future<Output = Result<Option<User>, StoreError>> + Send {
        D::find(self, subject)
    }
}

type FoundUser<'a> = Pin<Box<dyn Future<Output = Result<Option<User>, StoreError>> + Send + 'a>>;

/// A directory of any type. Nothing outside this crate sees it, so that implementors write plain `async fn`s.
pub(crate) trait AnyUserDirectory: Send + Sync {
    fn authenticate<'a>(&'a self, username: &'a str, password: &'a str) -> FoundUser<'a>;

    fn find<'a>(&'a self, subject: &'a str) -> FoundUser<'a>;
}

impl<D: UserDirectory> AnyUserDirectory for D {
    fn authenticate<'a>(&'a self, username: &'a str, password: &'a str) -> FoundUser<'a> {
        Box::pin(UserDirectory::authenticate(self, username, password))
    }

    fn find<'a>(&'a self, subject: &'a str) -> FoundUser<'a> {
        Box::pin(UserDirectory::find(self, subject))
    }
}
