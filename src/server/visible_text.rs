//! Text that people can see.

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

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

/// Joiners, variation selectors and tags: the spelling of some languages, and emoji.
fn shapes_the_character_before(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
