//! Log-ins that were ended before their time.
//!
//! A log-in is a sealed cookie, and a cookie that was copied is as good as the first one, whatever the browser forgets. So
//! that it is over is written down, until it would be over by itself.

use std::time::{Duration, UNIX_EPOCH};

use super::login::Login;
use crate::{
    store::{Becomes, Change, Key, Kind, Row, Store, StoreError, Version, Was},
    time::CLOCKS_DIFFER_BY,
    tokens::LoginGround,
};

/// Ends a log-in: its cookie is good no more, and no copy of it.
pub(super) async fn end(store: &impl Store, login: &Login) -> Result<(), StoreError> {
    let over = Duration::from_secs(login.expires_at).saturating_add(CLOCKS_DIFFER_BY);
    let row = Row {
        version: Version::draw()?,
        owner: None,
        expires_at: UNIX_EPOCH.checked_add(over),
        body: "{}".to_owned(),
    };
    let change = Change::new().step(key(login), Was::Absent, Becomes::Put(row));
    // When there is such a row, it was ended before.
    store.commit(&change).await.map(|_| ())
}

/// By what it is found out whether a log-in was ended.
pub(super) fn ground_of(login: &Login) -> LoginGround {
    LoginGround {
        epoch: login.epoch,
        ended: Some(key(login)),
    }
}

fn key(login: &Login) -> Key {
    Key::of(Kind::EndedLogin, &login.session)
}
