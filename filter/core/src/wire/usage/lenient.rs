//! Values in a provider's JSON of which any shape will do, so that an odd one never costs the counters beside it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Of JSON of any shape. What a type does not read says nothing.
pub(crate) trait Lenient: Sized + Default {
    fn of_whole_number(_: u64) -> Self {
        Self::default()
    }

    fn of_fraction(_: f64) -> Self {
        Self::default()
    }

    fn of_text(_: &str) -> Self {
        Self::default()
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// Reads what says something in one of its shapes.
pub(crate) fn anything<'de, D: Deserializer<'de>, T: Lenient>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(AnyVisitor(PhantomData))
}

/// Reads an object.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    anything(deserializer).map(|Object(object)| object)
}

/// What the objects of a list say together.
pub(crate) trait Tally: Default {
    type Item: DeserializeOwned + Default;

    fn add(&mut self, item: Self::Item);
}

/// Reads a list of objects, and keeps none of them.
pub(crate) fn each<'de, D: Deserializer<'de>, T: Tally>(deserializer: D) -> Result<T, D::Error> {
    anything(deserializer).map(|Each(tally)| tally)
}

#[derive(Default)]
struct Object<T>(T);

impl<T: DeserializeOwned + Default> Lenient for Object<T> {
    fn of_object<'de, A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Object)
    }
}

impl<'de, T: DeserializeOwned + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        anything(deserializer)
    }
}

#[derive(Default)]
struct Each<T>(T);

impl<T: Tally> Lenient for Each<T> {
    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut tally = T::default();
        while let Some(Object(item)) = list.next_element()? {
            tally.add(item);
        }
        Ok(Each(tally))
    }
}

struct AnyVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for AnyVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::of_whole_number(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::of_fraction(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::of_object(object)
    }
}
