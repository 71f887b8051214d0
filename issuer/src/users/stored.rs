//! Users in a store.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Passwords, User, UserDirectory, Username,
    passwords::{MAX_PASSWORD, MIN_NEW_PASSWORD, Verdict},
};
use crate::random;
use crate::store::{
    AnyStore, Becomes, Change, Id, Key, Kind, MemoryStore, Outcome, Row, Store, StoreError, Version, Was,
};

/// The longest display name, in bytes.
const MAX_DISPLAY_NAME: usize = 256;

/// How often a change is tried, while others change the same user.
const TRIES: usize = 8;

/// Users in a store, who log in with a password. Clones share them.
///
/// Neither a new password nor disabling a user ends what the user has open: tokens and log-ins go on until they are over, or
/// until the subject is logged out everywhere, which belongs to both.
#[derive(Clone)]
pub struct StoredUsers {
    store: Arc<dyn AnyStore>,
    passwords: Passwords,
}

/// Why a user could not be changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// It is empty, longer than 254 bytes, or has a character that no name has; see [`Username::parse`].
    #[error("this cannot be a username: expected 1 to 254 bytes of characters that are seen")]
    NotAUsername,
    /// It is longer than 256 bytes or has a control character.
    #[error("this cannot be a display name: expected 1 to 256 bytes without control characters")]
    NotADisplayName,
    /// Another user has this name.
    #[error("another user has this name")]
    Taken,
    /// There is no such user.
    #[error("there is no such user")]
    Unknown,
    /// It has fewer than 8 characters or more than 1024 bytes.
    #[error("this cannot be a password: expected 8 characters or more, and 1024 bytes or fewer")]
    NotAPassword,
    /// The store failed. The change may have happened or not.
    #[error("the users cannot be changed: {0}")]
    Store(#[from] StoreError),
}

/// What is kept of a user under the username. A member that is not known may be one by which a newer program shuts the user
/// out: nobody passes it over, or takes it away by the next change.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    subject: String,
    username: String,
    display_name: Option<String>,
    is_active: bool,
    password: String,
}

/// What is kept under the subject.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    username: String,
}

impl StoredUsers {
    /// The users in this store. Nothing is read yet.
    pub fn new(store: impl Store, passwords: Passwords) -> Self {
        Self {
            store: Arc::new(store),
            passwords,
        }
    }

    /// Users in the memory of this process, gone when it ends.
    pub fn in_memory(passwords: Passwords) -> Self {
        Self::new(MemoryStore::new(), passwords)
    }

    /// Adds a user who can log in, with a random subject that nobody ever had.
    ///
    /// # Errors
    ///
    /// When the name is none or is taken, the password is too short or too long, or the store fails.
    pub async fn add(&self, username: &str, password: &str) -> Result<User, UserError> {
        let username = Username::parse(username).ok_or(UserError::NotAUsername)?;
        let password = self.hash_of_new(password).await?;
        let kept = Kept {
            subject: random::text::<16>()?,
            username: username.as_str().to_owned(),
            display_name: None,
            is_active: true,
            password,
        };
        let pointer = Pointer {
            username: kept.username.clone(),
        };
        let owner = Id::of(&kept.subject);
        let change = Change::new()
            .step(by_name(&username), Was::Absent, put(&kept, &owner)?)
            .step(by_subject(&kept.subject), Was::Absent, put(&pointer, &owner)?);
        match self.store.commit(&change).await? {
            Outcome::Done => Ok(kept.into()),
            Outcome::Conflict => Err(UserError::Taken),
        }
    }

    /// The user of this name, be it one who may log in or not.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn find_by_username(&self, username: &str) -> Result<Option<User>, StoreError> {
        let Some(username) = Username::parse(username) else {
            return Ok(None);
        };
        Ok(self.load(&username).await?.map(|(_, kept)| kept.into()))
    }

    /// Gives a user another password.
    ///
    /// # Errors
    ///
    /// When there is no such user, the password is too short or too long, or the store fails.
    pub async fn set_password(&self, subject: &str, password: &str) -> Result<(), UserError> {
        let hash = self.hash_of_new(password).await?;
        self.change(subject, |kept| kept.password.clone_from(&hash)).await
    }

    /// How pages call the user from now on; `None` is by the username.
    ///
    /// # Errors
    ///
    /// When there is no such user, the name is empty, longer than 256 bytes or has a control character, or the store fails.
    pub async fn set_display_name(&self, subject: &str, name: Option<&str>) -> Result<(), UserError> {
        let is_name =
            |name: &str| !name.is_empty() && name.len() <= MAX_DISPLAY_NAME && !name.contains(char::is_control);
        if !name.is_none_or(is_name) {
            return Err(UserError::NotADisplayName);
        }
        self.change(subject, |kept| kept.display_name = name.map(str::to_owned))
            .await
    }

    /// Does not let a user log in any more. Log the subject out everywhere, too.
    ///
    /// # Errors
    ///
    /// When there is no such user, or the store fails.
    pub async fn disable(&self, subject: &str) -> Result<(), UserError> {
        self.change(subject, |kept| kept.is_active = false).await
    }

    /// Lets a user log in again.
    ///
    /// # Errors
    ///
    /// When there is no such user, or the store fails.
    pub async fn enable(&self, subject: &str) -> Result<(), UserError> {
        self.change(subject, |kept| kept.is_active = true).await
    }

    /// Removes a user; the name is free again, the subject is not. Log the subject out everywhere, too.
    ///
    /// # Errors
    ///
    /// When there is no such user, or the store fails.
    pub async fn remove(&self, subject: &str) -> Result<(), UserError> {
        self.try_changes(subject, |_, _| Ok((Becomes::Gone, Becomes::Gone)))
            .await
    }

    async fn hash_of_new(&self, password: &str) -> Result<String, UserError> {
        if password.chars().count() < MIN_NEW_PASSWORD || password.len() > MAX_PASSWORD {
            return Err(UserError::NotAPassword);
        }
        Ok(self.passwords.hash(password).await?)
    }

    async fn load(&self, username: &Username) -> Result<Option<(Version, Kept)>, StoreError> {
        let [row] = self.rows([by_name(username)]).await?;
        row.map(|row| Ok((row.version, read(&row)?))).transpose()
    }

    /// The rows under these keys, as many as there are keys.
    async fn rows<const N: usize>(&self, keys: [Key; N]) -> Result<[Option<Row>; N], StoreError> {
        let rows = self.store.load(&keys).await?;
        rows.try_into()
            .map_err(|_| StoreError::new("the store answers with another number of rows"))
    }

    async fn change(&self, subject: &str, change: impl Fn(&mut Kept)) -> Result<(), UserError> {
        self.try_changes(subject, |mut kept, owner| {
            change(&mut kept);
            Ok((put(&kept, owner)?, Becomes::Same))
        })
        .await
    }

    /// Replaces both rows of a user, and looks again when somebody else was faster.
    async fn try_changes(
        &self,
        subject: &str,
        decide: impl Fn(Kept, &Id) -> Result<(Becomes, Becomes), StoreError>,
    ) -> Result<(), UserError> {
        let owner = Id::of(subject);
        for _ in 0..TRIES {
            let [row] = self.rows([by_subject(subject)]).await?;
            let pointer_row = row.ok_or(UserError::Unknown)?;
            let pointer: Pointer = read(&pointer_row)?;
            let username = kept_name(&pointer.username)?;
            // Between the two reads the user may have gone, and somebody else have come under the name.
            let Some((version, kept)) = self.load(&username).await? else {
                continue;
            };
            if kept.subject != subject {
                continue;
            }
            let (named, pointed) = decide(kept, &owner)?;
            let change = Change::new().step(by_name(&username), Was::At(version), named).step(
                by_subject(subject),
                Was::At(pointer_row.version),
                pointed,
            );
            if self.store.commit(&change).await? == Outcome::Done {
                return Ok(());
            }
        }
        Err(StoreError::new("others change the same user all the time").into())
    }

    /// Keeps a hash that was made anew. Whatever comes between does no harm: the next log-in does it again.
    async fn keep_rehashed(&self, username: &Username, version: Version, kept: &Kept) -> Result<(), StoreError> {
        let put = put(kept, &Id::of(&kept.subject))?;
        let change = Change::new().step(by_name(username), Was::At(version), put);
        self.store.commit(&change).await.map(drop)
    }
}

impl UserDirectory for StoredUsers {
    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<User>, StoreError> {
        let username = Username::parse(username);
        let mut found = match &username {
            Some(username) => self.load(username).await?,
            None => None,
        };
        for _ in 0..TRIES {
            let hash = found.as_ref().map(|(_, kept)| kept.password.clone());
            let verdict = self.passwords.verify(password, hash).await?;
            let (Some(username), Some((_, held_against))) = (&username, &found) else {
                return Ok(None);
            };
            if verdict == Verdict::Wrong {
                return Ok(None);
            }
            // The hash took its time, and may have waited for others. Was the password replaced meanwhile, it counts for
            // nothing: whoever replaced it has logged out everywhere by now, and would not reach who comes in after that.
            let now = self.load(username).await?;
            let is_replaced = |(_, kept): &(Version, Kept)| kept.password != held_against.password;
            if now.as_ref().is_none_or(is_replaced) {
                found = now;
                continue;
            }
            let Some((version, mut kept)) = now else {
                return Ok(None);
            };
            if let Verdict::RightAndRehashed(hash) = verdict {
                kept.password = hash;
                if let Err(error) = self.keep_rehashed(username, version, &kept).await {
                    tracing::warn!(target: "resource_protector_issuer::users", %error, "a hash made anew is not kept");
                }
            }
            return Ok(kept.is_active.then(|| kept.into()));
        }
        Err(StoreError::new("others change the same user all the time"))
    }

    async fn find(&self, subject: &str) -> Result<Option<User>, StoreError> {
        let [row] = self.rows([by_subject(subject)]).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let pointer: Pointer = read(&row)?;
        let found = self.load(&kept_name(&pointer.username)?).await?;
        let is_the_one = |kept: &Kept| kept.subject == subject;
        Ok(found.map(|(_, kept)| kept).filter(is_the_one).map(User::from))
    }
}

impl fmt::Debug for StoredUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredUsers")
            .field("passwords", &self.passwords)
            .finish_non_exhaustive()
    }
}

impl From<Kept> for User {
    fn from(kept: Kept) -> Self {
        Self {
            subject: kept.subject,
            username: kept.username,
            display_name: kept.display_name,
            is_active: kept.is_active,
        }
    }
}

/// Names and subjects are of one kind; the first letter keeps them apart.
fn by_name(username: &Username) -> Key {
    Key::of(Kind::User, &format!("n{}", username.as_str()))
}

fn by_subject(subject: &str) -> Key {
    Key::of(Kind::User, &format!("s{subject}"))
}

fn kept_name(kept: &str) -> Result<Username, StoreError> {
    Username::parse(kept).ok_or_else(|| StoreError::new("the name that is kept of a user is none"))
}

fn put(body: &impl Serialize, owner: &Id) -> Result<Becomes, StoreError> {
    Ok(Becomes::Put(Row {
        version: Version::draw()?,
        owner: Some(owner.clone()),
        expires_at: None,
        body: serde_json::to_string(body).map_err(|_| StoreError::new("a user cannot be written as JSON"))?,
    }))
}

fn read<'a, T: Deserialize<'a>>(row: &'a Row) -> Result<T, StoreError> {
    // The message of serde quotes what it read.
    serde_json::from_str(&row.body).map_err(|_| StoreError::new("what is kept of a user cannot be read"))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::store::{Listing, MeetingStore};

    const PASSWORD: &str = "correct horse";

    fn passwords() -> Passwords {
        Passwords::weak_for_tests().unwrap()
    }

    fn users() -> StoredUsers {
        StoredUsers::in_memory(passwords())
    }

    async fn login(users: &StoredUsers, username: &str, password: &str) -> Option<User> {
        users.authenticate(username, password).await.unwrap()
    }

    #[tokio::test]
    async fn a_user_logs_in_with_the_password_and_no_other() {
        let users = users();
        let alice = users.add("Alice", PASSWORD).await.unwrap();
        assert_eq!(alice.username, "alice");
        assert_eq!(login(&users, "alice ", PASSWORD).await, Some(alice));
        assert_eq!(login(&users, "alice", "correct horsf").await, None);
        assert_eq!(login(&users, "bob", PASSWORD).await, None);
        assert_eq!(login(&users, "", PASSWORD).await, None);
        assert_eq!(login(&users, "alice", "").await, None);
    }

    #[tokio::test]
    async fn an_unknown_user_costs_the_work_of_a_wrong_password() {
        // One hash at a time, and its place is taken: whoever has to wait for it has work to do.
        let users = users();
        users.add("alice", PASSWORD).await.unwrap();
        for username in ["alice", "bob", "no\0name"] {
            let held = users.passwords.hold_all();
            let mut login = Box::pin(users.authenticate(username, "wrong password"));
            let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(login.as_mut().poll(cx).is_pending())).await;
            assert!(waits, "{username}");
            drop(held);
            assert_eq!(login.await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_disabled_user_does_not_log_in_until_enabled() {
        let users = users();
        let alice = users.add("alice", PASSWORD).await.unwrap();
        users.disable(&alice.subject).await.unwrap();
        assert_eq!(login(&users, "alice", PASSWORD).await, None);
        let found = users.find(&alice.subject).await.unwrap().unwrap();
        assert!(!found.is_active);
        users.enable(&alice.subject).await.unwrap();
        assert_eq!(login(&users, "alice", PASSWORD).await, Some(alice));
    }

    #[tokio::test]
    async fn a_new_password_takes_the_place_of_the_old_one() {
        let users = users();
        let alice = users.add("alice", PASSWORD).await.unwrap();
        users.set_password(&alice.subject, "battery staple").await.unwrap();
        assert_eq!(login(&users, "alice", PASSWORD).await, None);
        assert_eq!(login(&users, "alice", "battery staple").await, Some(alice));
    }

    #[tokio::test]
    async fn a_password_that_is_replaced_while_it_is_hashed_logs_nobody_in() {
        let store = Arc::new(MemoryStore::new());
        let (door, office) = (
            StoredUsers::new(Arc::clone(&store), passwords()),
            StoredUsers::new(Arc::clone(&store), passwords()),
        );
        let alice = office.add("alice", PASSWORD).await.unwrap();
        for (typed, comes_in) in [(PASSWORD, false), ("battery staple", false), ("staple horse", true)] {
            let held = door.passwords.hold_all();
            let mut login = Box::pin(door.authenticate("alice", typed));
            let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(login.as_mut().poll(cx).is_pending())).await;
            assert!(waits);
            office.set_password(&alice.subject, "staple horse").await.unwrap();
            drop(held);
            assert_eq!(login.await.unwrap().is_some(), comes_in, "{typed}");
        }
    }

    #[tokio::test]
    async fn a_name_is_given_once_however_it_is_written() {
        let users = users();
        users.add("alice", PASSWORD).await.unwrap();
        let again = users.add(" ALICE", "battery staple").await;
        assert!(matches!(again, Err(UserError::Taken)), "{again:?}");
        assert!(login(&users, "alice", PASSWORD).await.is_some());
    }

    #[tokio::test]
    async fn whoever_gets_a_free_name_is_somebody_else() {
        let users = users();
        let first = users.add("alice", PASSWORD).await.unwrap();
        users.remove(&first.subject).await.unwrap();
        assert_eq!(users.find(&first.subject).await.unwrap(), None);
        assert_eq!(login(&users, "alice", PASSWORD).await, None);
        let second = users.add("alice", PASSWORD).await.unwrap();
        assert_ne!(first.subject, second.subject);
        assert_eq!(users.find(&first.subject).await.unwrap(), None);
        let changed = users.disable(&first.subject).await;
        assert!(matches!(changed, Err(UserError::Unknown)), "{changed:?}");
    }

    #[tokio::test]
    async fn a_subject_is_no_name_and_a_name_is_no_subject() {
        let users = users();
        let alice = users.add("alice", PASSWORD).await.unwrap();
        assert_eq!(users.find("alice").await.unwrap(), None);
        assert_eq!(users.find_by_username(&alice.subject).await.unwrap(), None);
        assert_eq!(users.find(&alice.subject).await.unwrap(), Some(alice.clone()));
        assert_eq!(users.find_by_username("ALICE").await.unwrap(), Some(alice));
    }

    #[tokio::test]
    async fn a_new_password_has_8_characters_or_more_and_1024_bytes_or_fewer() {
        let users = users();
        for password in ["", "1234567", &"x".repeat(1025)] {
            let added = users.add("alice", password).await;
            assert!(matches!(added, Err(UserError::NotAPassword)), "{added:?}");
        }
        assert!(users.add("alice", "12345678").await.is_ok());
        assert!(users.add("bob", &"x".repeat(1024)).await.is_ok());
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_replaced_at_the_next_log_in() {
        let store = Arc::new(MemoryStore::new());
        let old = StoredUsers::new(Arc::clone(&store), passwords());
        old.add("alice", PASSWORD).await.unwrap();
        let new = StoredUsers::new(Arc::clone(&store), Passwords::unchecked(128, 1, 1).unwrap());
        let bodies = || async {
            let listing = Listing {
                kind: Kind::User,
                owner: None,
                after: None,
                limit: 10,
            };
            let rows = Store::list(&*store, &listing).await.unwrap();
            rows.into_iter().map(|(_, row)| row.body).collect::<String>()
        };
        assert!(bodies().await.contains("m=64,"));
        assert!(login(&new, "alice", PASSWORD).await.is_some());
        assert!(bodies().await.contains("m=128,"));
        assert!(!bodies().await.contains("m=64,"));
    }

    #[tokio::test]
    async fn a_log_in_that_rehashes_does_not_undo_what_came_between() {
        let users = users();
        let alice = users.add("alice", PASSWORD).await.unwrap();
        let username = Username::parse("alice").unwrap();
        let (version, kept) = users.load(&username).await.unwrap().unwrap();
        users.disable(&alice.subject).await.unwrap();
        users.keep_rehashed(&username, version, &kept).await.unwrap();
        assert!(!users.find(&alice.subject).await.unwrap().unwrap().is_active);
    }

    #[tokio::test]
    async fn changes_at_the_same_time_all_happen() {
        let store = MeetingStore::new();
        let users = StoredUsers::new(store.clone(), passwords());
        let alice = users.add("alice", PASSWORD).await.unwrap();
        let subject = &alice.subject;
        store.next_two_meet();
        let (named, disabled) = tokio::join!(
            users.set_display_name(subject, Some("A. Smith")),
            users.disable(subject)
        );
        named.unwrap();
        disabled.unwrap();
        let found = users.find(subject).await.unwrap().unwrap();
        assert_eq!((found.shown_name(), found.is_active), ("A. Smith", false));
    }

    #[tokio::test]
    async fn a_user_with_something_that_is_not_known_here_neither_logs_in_nor_is_changed() {
        let store = Arc::new(MemoryStore::new());
        let users = StoredUsers::new(Arc::clone(&store), passwords());
        let alice = users.add("alice", PASSWORD).await.unwrap();
        let key = by_name(&Username::parse("alice").unwrap());
        let [Some(mut row)] = users.rows([key.clone()]).await.unwrap() else {
            panic!("there is none")
        };
        let was = Was::At(row.version);
        // As a newer program may write it.
        row.body = row.body.replacen('{', r#"{"locked_until":2000000000,"#, 1);
        row.version = Version::draw().unwrap();
        let change = Change::new().step(key.clone(), was, Becomes::Put(row.clone()));
        assert_eq!(Store::commit(&*store, &change).await.unwrap(), Outcome::Done);
        assert!(users.authenticate("alice", PASSWORD).await.is_err());
        let changed = users.set_password(&alice.subject, "battery staple").await;
        assert!(matches!(changed, Err(UserError::Store(_))), "{changed:?}");
        assert_eq!(users.rows([key]).await.unwrap(), [Some(row)]);
    }

    #[tokio::test]
    async fn neither_password_nor_name_nor_subject_stands_in_debug() {
        let users = users();
        let alice = users.add("alice", PASSWORD).await.unwrap();
        let debug = format!("{alice:?} {users:?}");
        assert!(!debug.contains("alice") && !debug.contains("argon2id$"), "{debug}");
        assert!(!debug.contains(&alice.subject), "{debug}");
    }

    struct Broken;

    impl Store for Broken {
        async fn load(&self, _: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
            Err(StoreError::new("down"))
        }

        async fn commit(&self, _: &Change) -> Result<Outcome, StoreError> {
            Err(StoreError::new("down"))
        }

        async fn list(&self, _: &Listing) -> Result<Vec<(Key, Row)>, StoreError> {
            Err(StoreError::new("down"))
        }

        async fn delete_expired(&self, _: SystemTime) -> Result<usize, StoreError> {
            Err(StoreError::new("down"))
        }
    }

    #[tokio::test]
    async fn a_store_that_is_down_is_no_wrong_password() {
        let users = StoredUsers::new(Broken, passwords());
        assert!(users.authenticate("alice", PASSWORD).await.is_err());
        assert!(users.find("x").await.is_err());
    }
}
