//! The name that a user writes into the form.

use std::fmt;

/// The longest name, in bytes: as long as an address of mail may be.
const MAX: usize = 254;

/// A username in the one form in which usernames are compared: without white space around it, and with the letters A to Z as
/// small ones, because telephones write a capital first and a space last.
///
/// All other characters are compared as they are: there is no Unicode normalization, so two ways to write an accent are two
/// names. Control characters and those that are not seen or that turn the direction of writing are refused. Where strangers
/// choose their names, allow fewer characters than this does: letters of different alphabets look the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(String);

impl Username {
    /// The name that was typed; `None` when it is empty, longer than 254 bytes, or has a character that no name has.
    pub fn parse(typed: &str) -> Option<Self> {
        let name = typed.trim();
        let is_name = !name.is_empty() && name.len() <= MAX && !name.chars().any(is_unseen);
        is_name.then(|| Self(name.to_ascii_lowercase()))
    }

    /// As it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Username {
    /// Nothing of it: logs have no names of people, and the form may have got a password in the wrong field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(…)")
    }
}

/// Control characters, line and paragraph separators, and the format characters that hide in a text.
fn is_unseen(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    character.is_control() || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &str) -> Option<String> {
        Username::parse(typed).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_name_typed_on_a_telephone_is_the_same_name() {
        assert_eq!(parsed("Alice@Example.com "), parsed("alice@example.com"));
        assert_eq!(parsed("\u{a0}alice\t"), Some("alice".to_owned()));
    }

    #[test]
    fn letters_outside_of_ascii_are_compared_as_they_are() {
        assert_ne!(parsed("Ärger"), parsed("ärger"));
        // U+212A, the sign for Kelvin, is small "k" for Unicode, but no letter that ASCII knows.
        assert_ne!(parsed("\u{212a}arl"), parsed("karl"));
    }

    #[test]
    fn a_name_has_1_to_254_bytes() {
        assert_eq!(parsed(""), None);
        assert_eq!(parsed("  \n"), None);
        assert!(parsed(&"a".repeat(254)).is_some());
        assert_eq!(parsed(&"a".repeat(255)), None);
    }

    #[test]
    fn characters_that_are_not_seen_make_no_name() {
        for character in [
            '\0', '\n', '\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}',
        ] {
            assert_eq!(parsed(&format!("al{character}ice")), None, "{character:?}");
        }
    }

    #[test]
    fn no_name_stands_in_a_log() {
        let name = Username::parse("alice").unwrap();
        assert_eq!(format!("{name:?}"), "Username(…)");
    }
}
