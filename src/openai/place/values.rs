//! Values that have a place of their own, whatever struct they stand in.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{List, Maybe, Own, Place, Slot};
use crate::openai::fault::{Fault, misfit};
use crate::openai::json::{Num, RawStr};

impl<'a> Place<'a> for RawStr<'a> {
    fn blank() -> Self {
        RawStr::EMPTY
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
    fn optional(place: &mut Option<Self>) -> Slot<'_, 'a> {
        Slot::Str(place)
    }
}

impl<'a> Own<'a> for RawStr<'a> {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        *self = Self::from_raw(raw).ok_or_else(|| misfit(raw, "a string"))?;
        Ok(())
    }
}

impl<'a> Place<'a> for Num<'a> {
    fn blank() -> Self {
        Self { written: "0", value: 0.0 }
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
}

impl<'a> Own<'a> for Num<'a> {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        let written = raw.get();
        match written.bytes().next() {
            Some(b'-' | b'0'..=b'9') => {
                let value = written.parse().unwrap_or(f64::INFINITY);
                *self = Self { written, value };
                Ok(())
            }
            _ => Err(misfit(raw, "a number")),
        }
    }
}

impl<'a> Place<'a> for &'a RawValue {
    fn blank() -> Self {
        RawValue::NULL
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
    fn optional(place: &mut Option<Self>) -> Slot<'_, 'a> {
        Slot::Raw(place)
    }
}

impl<'a> Own<'a> for &'a RawValue {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        *self = raw;
        Ok(())
    }
}

impl<'a> Place<'a> for Cow<'a, str> {
    fn blank() -> Self {
        Cow::Borrowed("")
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Text(self)
    }
}

impl<'a> Place<'a> for bool {
    fn blank() -> Self {
        false
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Flag(self)
    }
}

impl<'a> Place<'a> for u64 {
    fn blank() -> Self {
        0
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Whole(self)
    }
}

impl<'a> Place<'a> for u32 {
    fn blank() -> Self {
        0
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Small(self)
    }
}

impl<'a, T: Place<'a>> Place<'a> for Option<T> {
    fn blank() -> Self {
        None
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        T::optional(self)
    }
}

impl<'a, T: Place<'a>> Maybe<'a> for Option<T> {
    fn begin(&mut self) -> Slot<'_, 'a> {
        self.insert(T::blank()).slot()
    }
}

impl<'a, T: Place<'a>> Place<'a> for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self)
    }
}

impl<'a, T: Place<'a>> List<'a> for Vec<T> {
    fn next(&mut self) -> Option<Slot<'_, 'a>> {
        self.push(T::blank());
        self.last_mut().map(T::slot)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::openai::place::from_str;

    #[test]
    fn a_number_keeps_its_digits() {
        let num: Num<'_> = from_str("1.0e0").unwrap();
        assert_eq!((num.written, num.value), ("1.0e0", 1.0));
        assert!(from_str::<Num<'_>>("\"1\"").is_err());
    }
}
