//! A few strings in one piece of memory.

use std::fmt;

/// Strings that are kept together: remembered tokens are many, and each piece of memory of theirs is a way to wait for it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    /// Each behind its length.
    all: Vec<u8>,
    count: usize,
}

const LENGTH: usize = size_of::<u32>();

impl Texts {
    /// Room for a few that are as long together.
    pub(crate) fn with_capacity(length: usize) -> Self {
        Self {
            all: Vec::with_capacity(length + 4 * LENGTH),
            count: 0,
        }
    }

    pub(crate) fn one(text: &str) -> Self {
        let mut texts = Self {
            all: Vec::with_capacity(text.len() + LENGTH),
            count: 0,
        };
        texts.push(text);
        texts
    }

    /// One that is longer than can be told is left out; no input is read that is near as long.
    pub(crate) fn push(&mut self, text: &str) {
        if let Ok(length) = u32::try_from(text.len()) {
            self.all.extend_from_slice(&length.to_ne_bytes());
            self.all.extend_from_slice(text.as_bytes());
            self.count += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let mut rest = &*self.all;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<LENGTH>()?;
            let (text, behind) = behind.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
            rest = behind;
            std::str::from_utf8(text).ok()
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_they_were_put_in() {
        for list in [&[][..], &["a"], &[""], &["a", "", "b c", "ä"]] {
            let texts: Texts = list.iter().copied().collect();
            assert_eq!(texts.iter().collect::<Vec<_>>(), list);
            assert_eq!((texts.len(), texts.is_empty()), (list.len(), list.is_empty()));
        }
        assert_eq!(Texts::one("a b").iter().collect::<Vec<_>>(), ["a b"]);
    }
}
