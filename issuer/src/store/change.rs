//! A change to several rows, and what becomes of it.

use std::collections::BTreeMap;

use super::{Key, MAX_KEYS, Row, StoreError, Version};

/// How a row has to be, so that a change may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// There is none.
    Absent,
    /// It is in this state.
    At(Version),
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// It stays as it is. The change depends on it all the same.
    Same,
    /// It is put in the place of what was there.
    Put(Row),
    /// It is deleted.
    Gone,
}

/// A change to several rows, which happens as a whole or not at all. No key stands in it twice.
#[derive(Clone, Debug, Default)]
pub struct Change {
    steps: BTreeMap<Key, (Was, Becomes)>,
}

impl Change {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step. A second one for the same key takes the place of the first.
    #[must_use]
    pub fn step(mut self, key: Key, was: Was, becomes: Becomes) -> Self {
        self.steps.insert(key, (was, becomes));
        self
    }

    /// The steps, in the order of their keys: a store that locks rows one after the other never waits for one that waits for
    /// it.
    pub fn steps(&self) -> impl Iterator<Item = (&Key, Was, &Becomes)> {
        self.steps.iter().map(|(key, (was, becomes))| (key, *was, becomes))
    }

    /// Whether it keeps the limits that all stores have. A store asks this before anything else.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_KEYS`] steps, or a body is longer than [`Row::MAX_BODY`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.steps.len() > MAX_KEYS {
            return Err(StoreError::new("a change has more than 1000 steps"));
        }
        let is_too_long = |(_, becomes): &(Was, Becomes)| match becomes {
            Becomes::Put(row) => row.body.len() > Row::MAX_BODY,
            Becomes::Same | Becomes::Gone => false,
        };
        if self.steps.values().any(is_too_long) {
            return Err(StoreError::new("the body of a row is longer than 1 MiB"));
        }
        Ok(())
    }
}

/// What became of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it has happened.
    Done,
    /// Nothing has happened, because a row was not as expected.
    Conflict,
}
