//! Text that people can see.

use icu_casemap::CaseMapper;
use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};
use unicode_normalization::UnicodeNormalization;

/// Whether a character has no glyph of its own.
pub(crate) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        // As empty, although Unicode does not call these "default ignorable".
        || matches!(c, '\u{2800}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}')
}

/// Whether a text shows as it is, on one line: it has something to see, no control characters, and nothing invisible but
/// what shapes the character before it.
pub(crate) fn is_showable(text: &str) -> bool {
    let mut follows_visible = false;
    let is_fine = |c: char| {
        if is_invisible(c) {
            follows_visible && shapes_the_character_before(c)
        } else {
            follows_visible = !c.is_whitespace();
            !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
        }
    };
    text.chars().all(is_fine) && text.chars().any(|c| !c.is_whitespace() && !is_invisible(c))
}

/// The same for all texts that differ only in case, in the composition of characters, in compatibility forms, in the kind or
/// number of spaces, or in what cannot be seen: Unicode's `toNFKC_Casefold`, with words separated by single spaces.
pub(crate) fn key_of(text: &str) -> String {
    let mut key: String = text.chars().filter(|c| !is_invisible(*c)).nfd().collect();
    // A folded character may be composed with the one after it, and then have another folding.
    for _ in 0..2 {
        key = CaseMapper::new().fold_string(&key).nfkc().filter(|c| !is_invisible(*c)).collect();
    }
    key.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Joiners, variation selectors and tags: the spelling of some languages, and emoji.
fn shapes_the_character_before(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_the_same_have_the_same_key() {
        for (text, same) in [
            ("Zoe\u{308}", "ZOË"),
            ("a  b", "A\u{a0}B"),
            ("EU 38", "EU\u{2009}38"),
            ("EU 38", " EU\u{3000}38\u{200b}"),
            ("EU 38", "ＥＵ ３８"),
            ("EU 38½", "EU 381⁄2"),
            ("ΟΔΟΣ", "οδος"),
            ("straße", "STRASSE"),
            ("ǰon", "J\u{30c}ON"),
            ("❤\u{fe0f}", "❤"),
            ("نامه\u{200c}ها", "نامهها"),
        ] {
            assert_eq!(key_of(text), key_of(same), "{text}");
        }
        for (text, other) in [("US 8", "US 8.5"), ("S", "M"), ("EU 38", "EU38"), ("10-11", "10/11")] {
            assert_ne!(key_of(text), key_of(other), "{text}");
        }
    }

    #[test]
    fn what_can_be_seen_can_be_shown() {
        for fine in [
            "Zoë",
            "I ❤\u{fe0f} kicks",
            "🤷\u{200d}♀\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "🇩🇪",
            "نامه\u{200c}ها",
            "葛\u{e0100}",
        ] {
            assert!(is_showable(fine), "{fine:?}");
        }
        for bad in [
            "",
            " ",
            "\u{200d}",
            "\u{fe0f}a",
            "a \u{200d}b",
            "a\nb",
            "a\0",
            "a\u{2028}b",
            "a\u{202e}b",
            "\u{3164}",
            "a\u{1d173}",
            "\u{1d173}",
            "a\u{1bca0}",
            "a\u{200b}",
            "a\u{ad}b",
            "\u{2800}",
            "a\u{2800}",
        ] {
            assert!(!is_showable(bad), "{bad:?}");
        }
    }
}
