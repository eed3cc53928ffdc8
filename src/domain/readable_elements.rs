//! Lists of which one bad element does not spoil the others.

use leptos::logging::warn;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData};

/// Reads a list element by element. One that cannot be read, as a newer server may send it, is left out with a warning in
/// the console.
///
/// For deserializers over values, such as the browser's. After an error the rest of a text cannot be read; there it is an
/// error of the list.
pub(super) fn readable_elements<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Elements(PhantomData))
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut elements = vec![];
        // Only values know how many there are.
        let is_text = list.size_hint().is_none();
        loop {
            match list.next_element() {
                Ok(Some(element)) => elements.push(element),
                Ok(None) => return Ok(elements),
                Err(error) if is_text => return Err(error),
                Err(error) => warn!("an element is left out: {error}"),
            }
        }
    }
}
