//! What a username may be, and which usernames are the same.

use crate::{
    domain::{USERNAME_MAX_LENGTH, error::DropError},
    server::visible_text::{is_showable, key_of},
};
use icu_properties::{CodePointMapData, PropertyNamesShort, props::Script};
use std::collections::BTreeSet;
use unicode_security::skeleton;

/// A valid username.
pub(super) struct Username {
    /// As it is shown.
    pub(super) shown: String,
    /// By which it is unique: names that differ only in case, in the composition of characters or in what cannot be seen
    /// have the same key.
    pub(super) key: String,
    /// What the name looks like in lower and in upper case: letters of different scripts that look alike are the same here.
    pub(super) skeletons: Vec<String>,
    /// The names of its letters' scripts.
    pub(super) scripts: String,
}

impl TryFrom<&str> for Username {
    type Error = DropError;

    fn try_from(username: &str) -> Result<Self, DropError> {
        let shown = username.trim();
        if shown.encode_utf16().count() > USERNAME_MAX_LENGTH || !is_showable(shown) {
            let expected = format!("must be 1 to {USERNAME_MAX_LENGTH} characters that can be seen");
            return Err(DropError::invalid("username", expected));
        }
        Ok(Self::unchecked(shown.into()))
    }
}

impl Username {
    /// A name that somebody has already.
    pub(super) fn unchecked(shown: String) -> Self {
        let key = key_of(&shown);
        let upper = key.to_uppercase();
        let skeletons = [&key, &upper].map(|name| skeleton(name).collect()).into();
        Self { skeletons, scripts: scripts_of(&shown), key, shown }
    }
}

fn scripts_of(name: &str) -> String {
    let (scripts, names) = (CodePointMapData::<Script>::new(), PropertyNamesShort::<Script>::new());
    let scripts = name.chars().map(|c| scripts.get(c));
    let of_letters = scripts.filter(|script| ![Script::Common, Script::Inherited].contains(script));
    let names: BTreeSet<_> = of_letters.filter_map(|script| names.get(script)).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn username(name: &str) -> Username {
        Username::try_from(name).unwrap_or_else(|error| panic!("{name:?}: {error}"))
    }

    #[test]
    fn names_are_equal_regardless_of_case_composition_and_what_cannot_be_seen() {
        assert_eq!(username("  Zoë ").shown, "Zoë");
        for (name, same) in [("Zoe\u{308}", "ZOË"), ("a  b", "A\u{a0}B"), ("ｆｕｌｌ", "FULL"), ("❤\u{fe0f}", "❤")]
        {
            assert_eq!(username(name).key, username(same).key, "{name}");
        }
    }

    #[test]
    fn letters_of_other_scripts_look_the_same() {
        for (name, lookalike) in [("alice", "аlice"), ("HELLO", "Ηello"), ("scope", "ѕсоре"), ("Boss", "Воss")]
        {
            let (name, lookalike) = (username(name), username(lookalike));
            assert!(
                name.skeletons.iter().any(|skeleton| lookalike.skeletons.contains(skeleton)),
                "{}",
                lookalike.shown
            );
            assert_ne!(name.scripts, lookalike.scripts, "{}", lookalike.shown);
        }
        assert_eq!(
            (&*username("Zoë 1").scripts, &*username("аlice").scripts, &*username("42 ❤").scripts),
            ("Latn", "Cyrl Latn", "")
        );
    }

    #[test]
    fn a_name_is_as_long_as_the_field_of_the_page_allows() {
        for fine in ["x".repeat(32), "é".repeat(32), "🦊".repeat(16)] {
            assert_eq!(username(&fine).shown, fine);
        }
        for long in ["x".repeat(33), "🦊".repeat(17)] {
            assert!(Username::try_from(&*long).is_err(), "{long}");
        }
    }
}
