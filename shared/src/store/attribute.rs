//! Values <-> attributes, and maps of these under their names. By hand: serde's way makes
//! each map twice (docs/performance.md).

use std::{collections::BTreeMap, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use super::key::{Item, text};
use crate::domain::{ChargeType, Credits, Id, Nonce, Reason, Timestamp, TransNo, TransType};

/// Why an attribute is none that was written, behind its name: `packs: 2: e: is no moment`.
/// Of what stands in the item it says nothing: it goes to the log.
pub(super) type Why = String;

/// What an attribute holds.
pub(super) trait Value: Sized {
    fn to_attribute(&self) -> AttributeValue;

    /// # Errors
    /// When the attribute is of another type, or holds what the value may not be.
    fn of_attribute(attribute: AttributeValue) -> Result<Self, Why>;
}

/// The attributes of an item, or of a map in one.
pub(super) struct Attributes(pub(super) Item);

impl Attributes {
    /// None, with room for so many: a map that grows puts all of them in anew.
    pub(super) fn with_room(for_so_many: usize) -> Attributes {
        Attributes(Item::with_capacity(for_so_many))
    }

    /// With this one.
    pub(super) fn with(self, name: &str, value: &impl Value) -> Attributes {
        self.with_any(name, Some(value))
    }

    /// With this one, if it is there.
    pub(super) fn with_any(mut self, name: &str, value: Option<&impl Value>) -> Attributes {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.to_attribute());
        }
        self
    }

    /// Takes out what is there under a name.
    pub(super) fn any<T: Value>(&mut self, name: &str) -> Result<Option<T>, Why> {
        let value = self.0.remove(name).map(T::of_attribute).transpose();
        value.map_err(|why| format!("{name}: {why}"))
    }

    /// Takes out what has to be there.
    pub(super) fn one<T: Value>(&mut self, name: &str) -> Result<T, Why> {
        self.any(name)?.ok_or_else(|| format!("{name}: is missing"))
    }

    /// The attributes of a map.
    pub(super) fn of_map(attribute: AttributeValue) -> Result<Attributes, Why> {
        match attribute {
            AttributeValue::M(map) => Ok(Attributes(map)),
            _ => Err("is no map".to_owned()),
        }
    }

    pub(super) fn into_map(self) -> AttributeValue {
        AttributeValue::M(self.0)
    }
}

impl<T: Value> Value for Vec<T> {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::L(self.iter().map(T::to_attribute).collect())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Vec<T>, Why> {
        let AttributeValue::L(list) = attribute else { return Err("is no list".to_owned()) };
        let named = |(nth, value)| T::of_attribute(value).map_err(|why| format!("{nth}: {why}"));
        list.into_iter().enumerate().map(named).collect()
    }
}

impl<T: Value> Value for BTreeMap<TransType, T> {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::M(self.iter().map(|(of, value)| (of.to_string(), value.to_attribute())).collect())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<BTreeMap<TransType, T>, Why> {
        // Without the name, which a caller chose.
        let value = |(name, value)| Ok((TransType::try_from(name)?, T::of_attribute(value)?));
        Attributes::of_map(attribute)?.0.into_iter().map(value).collect()
    }
}

impl Value for bool {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::Bool(*self)
    }

    fn of_attribute(attribute: AttributeValue) -> Result<bool, Why> {
        attribute.as_bool().copied().map_err(|_| "is neither true nor false".to_owned())
    }
}

impl Value for u64 {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::N(self.to_string())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<u64, Why> {
        whole(&attribute)
    }
}

impl Value for i64 {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::N(self.to_string())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<i64, Why> {
        whole(&attribute)
    }
}

impl Value for Credits {
    fn to_attribute(&self) -> AttributeValue {
        self.get().to_attribute()
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Credits, Why> {
        Ok(whole::<u64>(&attribute)?.try_into()?)
    }
}

/// A number of milliseconds since 1970.
impl Value for Timestamp {
    fn to_attribute(&self) -> AttributeValue {
        self.millis().to_attribute()
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Timestamp, Why> {
        Ok(Timestamp::from_millis(whole(&attribute)?).ok_or("is no moment")?)
    }
}

impl Value for TransNo {
    fn to_attribute(&self) -> AttributeValue {
        text(&*self.uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    fn of_attribute(attribute: AttributeValue) -> Result<TransNo, Why> {
        Ok(uuid(&attribute)?.try_into()?)
    }
}

impl Value for Nonce {
    fn to_attribute(&self) -> AttributeValue {
        text(self.to_string())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Nonce, Why> {
        uuid(&attribute).map(Nonce::new)
    }
}

impl Value for String {
    fn to_attribute(&self) -> AttributeValue {
        text(self)
    }

    fn of_attribute(attribute: AttributeValue) -> Result<String, Why> {
        match attribute {
            AttributeValue::S(text) => Ok(text),
            _ => Err("is no text".to_owned()),
        }
    }
}

impl Value for TransType {
    fn to_attribute(&self) -> AttributeValue {
        text(self.to_string())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<TransType, Why> {
        Ok(String::of_attribute(attribute)?.try_into()?)
    }
}

impl Value for ChargeType {
    fn to_attribute(&self) -> AttributeValue {
        text(self.to_string())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<ChargeType, Why> {
        match TransType::of_attribute(attribute)? {
            TransType::Charge(charge) => Ok(charge),
            TransType::Grant(_) | TransType::Refund(_) => Err("is no charge's".to_owned()),
        }
    }
}

impl<Kind> Value for Id<Kind> {
    fn to_attribute(&self) -> AttributeValue {
        text(self.as_str())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Id<Kind>, Why> {
        Ok(String::of_attribute(attribute)?.try_into()?)
    }
}

impl Value for Reason {
    fn to_attribute(&self) -> AttributeValue {
        text(self.as_str())
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Reason, Why> {
        Ok(String::of_attribute(attribute)?.try_into()?)
    }
}

fn whole<T: FromStr>(attribute: &AttributeValue) -> Result<T, Why> {
    let number = attribute.as_n().ok().and_then(|number| number.parse().ok());
    number.ok_or_else(|| "is no whole number of its range".to_owned())
}

fn uuid(attribute: &AttributeValue) -> Result<Uuid, Why> {
    let uuid = attribute.as_s().ok().and_then(|text| text.parse().ok());
    uuid.ok_or_else(|| "is no UUID".to_owned())
}
