//! Reading the server's JSON: a serde deserializer over the values that the browser's `JSON.parse` returns.
//!
//! serde-wasm-bindgen does the same. With it a first visit transferred 15,151 bytes more (158,557 instead of 143,406 bytes
//! of WebAssembly and JavaScript, brotli, everything else being equal). Most of that is the text of its errors, so an
//! error says here what was expected and not what was found.
//!
//! It reads every kind of value that serde knows. Two things that derives can ask for are not there: a struct is read as
//! the sequence of its fields, so an absent one is an error unless it is an `Option`, also with `#[serde(default)]`; and
//! the keys of a map are text.

use crate::domain::event::ServerEvent;
use js_sys::{Array, JSON, Number, Object, Reflect};
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor, value::StringDeserializer,
    },
    forward_to_deserialize_any,
};
use std::fmt;
use wasm_bindgen::{JsCast, JsValue};

/// Reads JSON.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T, Unreadable> {
    T::deserialize(parse(json)?)
}

/// Reads an event; `None` if this build does not know its type, an error if it knows the type in another form.
pub(crate) fn read_event(json: &str) -> Result<Option<ServerEvent>, Unreadable> {
    let event = parse(json)?;
    let event_type = event.get("type").as_string().unwrap_or_default();
    ServerEvent::read(&event_type, event)
}

fn parse(json: &str) -> Result<Value, Unreadable> {
    JSON::parse(json).map(Value).map_err(|_| Unreadable("JSON"))
}

/// What a value that does not fit its type should be.
#[derive(Debug)]
pub(crate) struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Those of serde's errors whose default builds a message out of its arguments are here, so that none is compiled.
impl Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("a value of its type")
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self("a value of its type")
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self("a value of its type")
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self("of its length")
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self("a known variant")
    }
}

struct Value(JsValue);

impl Value {
    /// The value of a property, `undefined` if there is none.
    fn get(&self, key: &str) -> JsValue {
        Reflect::get(&self.0, &key.into()).unwrap_or_default()
    }

    fn is_absent(&self) -> bool {
        self.0.is_null() || self.0.is_undefined()
    }

    /// Keys and values of an object.
    fn entries(&self) -> Result<Entries, Unreadable> {
        let object = self.0.dyn_ref::<Object>().ok_or(Unreadable("an object"))?;
        Ok(Entries { entries: Object::entries(object).into_iter(), value: None })
    }
}

/// Every number of JavaScript is a float; serde accepts an integer for any type of number that it fits into.
macro_rules! number {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
            self.deserialize_f64(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if let Some(bool) = self.0.as_bool() {
            visitor.visit_bool(bool)
        } else if self.0.as_f64().is_some() {
            self.deserialize_f64(visitor)
        } else if let Some(text) = self.0.as_string() {
            visitor.visit_string(text)
        } else if Array::is_array(&self.0) {
            self.deserialize_seq(visitor)
        } else if self.is_absent() {
            visitor.visit_unit()
        } else {
            visitor.visit_map(self.entries()?)
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_bool(self.0.as_bool().ok_or(Unreadable("true or false"))?)
    }

    number! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let number = self.0.as_f64().ok_or(Unreadable("a number"))?;
        if Number::is_safe_integer(&self.0) { visitor.visit_i64(number as i64) } else { visitor.visit_f64(number) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_string(self.0.as_string().ok_or(Unreadable("text"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_absent() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0.dyn_into::<Array>() {
            Ok(array) => visitor.visit_seq(Elements { length: array.length(), array, next: 0 }),
            Err(_) => Err(Unreadable("a list")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        if !self.0.is_object() {
            return Err(Unreadable("an object"));
        }
        visitor.visit_seq(Fields { object: self, fields: fields.iter() })
    }

    /// A unit variant is a string. Any other is an object with the variant as its only key.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        if let Some(name) = self.0.as_string() {
            return visitor.visit_enum(Variant { name, content: Self(JsValue::NULL) });
        }
        let mut entries = self.entries()?;
        match (entries.next(), entries.next()) {
            (Some((name, content)), None) => visitor.visit_enum(Variant { name, content }),
            _ => Err(Unreadable("a variant")),
        }
    }

    /// Ignores without looking.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct map identifier i128 u128
    }
}

/// The elements of a list. After one that cannot be read, the next can be.
struct Elements {
    array: Array,
    length: u32,
    next: u32,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        if self.next == self.length {
            return Ok(None);
        }
        let element = self.array.get(self.next);
        self.next += 1;
        seed.deserialize(Value(element)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.length - self.next) as usize)
    }
}

/// A struct as the sequence of its fields, so that each name is matched only once.
struct Fields {
    object: Value,
    fields: std::slice::Iter<'static, &'static str>,
}

impl<'de> SeqAccess<'de> for Fields {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        self.fields.next().map(|field| seed.deserialize(Value(self.object.get(field)))).transpose()
    }
}

/// The entries of a map, whatever its keys.
struct Entries {
    entries: js_sys::ArrayIntoIter,
    value: Option<Value>,
}

impl Iterator for Entries {
    type Item = (String, Value);

    fn next(&mut self) -> Option<Self::Item> {
        let entry: Array = self.entries.next()?.unchecked_into();
        Some((entry.get(0).as_string().unwrap_or_default(), Value(entry.get(1))))
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        let Some((key, value)) = self.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Unreadable> {
        seed.deserialize(self.value.take().unwrap_or(Value(JsValue::UNDEFINED)))
    }
}

struct Variant {
    name: String,
    content: Value,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Unreadable;
    type Variant = Value;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Value), Unreadable> {
        let name: StringDeserializer<Unreadable> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Value {
    type Error = Unreadable;

    fn unit_variant(self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unreadable> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        self.deserialize_struct("", fields, visitor)
    }
}

// Run in a JavaScript engine by `script/test`.
#[cfg(all(test, target_arch = "wasm32"))]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::HashMap;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Unit;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(u32);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair(i64, String);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Point {
        at_x: f64,
        label: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Shape {
        None,
        Round(f64),
        Line(i32, i32),
        Box {
            side: u8,
        },
        #[serde(other)]
        Other,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Point(Point),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum NumberOrText {
        Number(i64),
        Text(String),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        name: String,
        #[serde(flatten)]
        rest: HashMap<String, bool>,
    }

    /// Asserts what JSON is read as, and that serde_json reads the same.
    #[track_caller]
    fn reads<T: DeserializeOwned + PartialEq + fmt::Debug>(json: &str, value: T) {
        assert_eq!(serde_json::from_str::<T>(json).expect(json), value);
        assert_eq!(read::<T>(json).expect(json), value);
    }

    #[track_caller]
    fn refuses<T: DeserializeOwned + fmt::Debug>(json: &str, error: &str) {
        assert_eq!(read::<T>(json).expect_err(json).to_string(), error);
    }

    #[wasm_bindgen_test]
    fn every_kind_of_value_is_read() {
        reads("true", true);
        reads("-128", i8::MIN);
        reads("-32768", i16::MIN);
        reads("-2147483648", i32::MIN);
        reads("-9007199254740991", -9_007_199_254_740_991_i64);
        reads("7", 7_i128);
        reads("255", u8::MAX);
        reads("65535", u16::MAX);
        reads("4294967295", u32::MAX);
        reads("9007199254740991", 9_007_199_254_740_991_u64);
        reads("7", 7_u128);
        reads("1.5", 1.5_f32);
        reads("1.5", 1.5_f64);
        reads("2", 2.0_f64);
        reads(r#""é""#, 'é');
        reads(r#""zoë""#, "zoë".to_owned());
        reads("null", ());
        reads("null", Unit);
        reads("null", None::<u32>);
        reads("5", Some(5_u32));
        reads("5", Wrapped(5));
        reads(r#"[5,"a"]"#, Pair(5, "a".into()));
        reads("[1,[2,3]]", (1_u8, (2_u8, 3_u8)));
        reads("[1,2]", vec![1_u8, 2]);
        reads(r#"{"a":1,"b":2}"#, HashMap::from([("a".to_owned(), 1_i32), ("b".to_owned(), 2)]));
        reads(r#"{"atX":1,"label":null,"unknown":[{}]}"#, Point { at_x: 1.0, label: None });
        reads(r#"{"label":"a","atX":0.5}"#, Point { at_x: 0.5, label: Some("a".into()) });
        reads(r#"{"atX":1}"#, Point { at_x: 1.0, label: None });
        reads(r#""None""#, Shape::None);
        reads(r#"{"Round":1.5}"#, Shape::Round(1.5));
        reads(r#"{"Line":[1,-2]}"#, Shape::Line(1, -2));
        reads(r#"{"Box":{"side":3}}"#, Shape::Box { side: 3 });
        reads(r#""Star""#, Shape::Other);
        reads(r#"{"kind":"Point","atX":1}"#, Tagged::Point(Point { at_x: 1.0, label: None }));
        reads("[1,\"a\"]", vec![NumberOrText::Number(1), NumberOrText::Text("a".into())]);
        reads(r#"{"name":"a","b":true}"#, Flat { name: "a".into(), rest: HashMap::from([("b".into(), true)]) });
        reads(r#"{"Ok":1}"#, Ok::<u8, String>(1));
    }

    #[wasm_bindgen_test]
    fn what_does_not_fit_is_an_error() {
        refuses::<u32>("{", "not JSON");
        refuses::<bool>("1", "not true or false");
        refuses::<i32>("\"1\"", "not a number");
        refuses::<String>("1", "not text");
        refuses::<Vec<u8>>("{}", "not a list");
        refuses::<Point>("[]", "not a number");
        refuses::<Point>("5", "not an object");
        refuses::<Point>(r#"{"label":"a"}"#, "not a number");
        refuses::<u8>("256", "not a value of its type");
        refuses::<i64>("1.5", "not a value of its type");
        // It was rounded before it could be read.
        refuses::<i64>("9007199254740993", "not a value of its type");
        refuses::<Shape>(r#"{"Round":1,"Box":2}"#, "not a variant");
        refuses::<()>("1", "not a value of its type");
    }
}
