//! Codecs of attribute values, and maps of attributes by name. Written by hand, because serde
//! builds each map twice (docs/performance.md).

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use super::key::{Item, new_item, text};
use crate::domain::{ChargeType, Credits, Id, InvocationId, Metadata, Reason, Timestamp, TransNo, TransType};

/// The path of an unreadable attribute and the reason: `packs: 2: e: not a timestamp`. It
/// never contains values of the item, because it is logged.
pub(super) type DecodeError = String;

/// A value that is stored in one attribute.
pub(super) trait AttributeCodec: Sized {
    fn to_attribute(&self) -> AttributeValue;

    /// # Errors
    /// If the attribute has another type, or a value outside the allowed range.
    fn from_attribute(attribute: AttributeValue) -> Result<Self, DecodeError>;
}

/// The attributes of an item, or of a map in one.
pub(super) struct Attributes(pub(super) Item);

impl Attributes {
    /// An empty map with capacity for this many: a map that grows inserts everything again.
    pub(super) fn with_capacity(attributes: usize) -> Attributes {
        Attributes(new_item(attributes))
    }

    pub(super) fn put(self, name: &str, value: &impl AttributeCodec) -> Attributes {
        self.put_optional(name, Some(value))
    }

    pub(super) fn put_optional(mut self, name: &str, value: Option<&impl AttributeCodec>) -> Attributes {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.to_attribute());
        }
        self
    }

    /// Adds the unknown attributes of an earlier read.
    pub(super) fn with_unknown(mut self, unknown: Option<&Item>) -> Attributes {
        self.0.extend(unknown.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    pub(super) fn take_optional<T: AttributeCodec>(&mut self, name: &str) -> Result<Option<T>, DecodeError> {
        let value = self.0.remove(name).map(T::from_attribute).transpose();
        value.map_err(|why| format!("{name}: {why}"))
    }

    pub(super) fn take_required<T: AttributeCodec>(&mut self, name: &str) -> Result<T, DecodeError> {
        self.take_optional(name)?.ok_or_else(|| format!("{name}: missing"))
    }

    pub(super) fn take_list(&mut self, name: &str) -> Result<Vec<AttributeValue>, DecodeError> {
        match self.0.remove(name) {
            Some(AttributeValue::L(list)) => Ok(list),
            Some(_) => Err(format!("{name}: not a list")),
            None => Err(format!("{name}: missing")),
        }
    }

    pub(super) fn take_map(&mut self, name: &str) -> Result<Item, DecodeError> {
        match self.0.remove(name) {
            Some(AttributeValue::M(map)) => Ok(map),
            Some(_) => Err(format!("{name}: not a map")),
            None => Err(format!("{name}: missing")),
        }
    }

    pub(super) fn from_map(attribute: AttributeValue) -> Result<Attributes, DecodeError> {
        match attribute {
            AttributeValue::M(map) => Ok(Attributes(map)),
            _ => Err("not a map".to_owned()),
        }
    }

    pub(super) fn into_map(self) -> AttributeValue {
        AttributeValue::M(self.0)
    }
}

impl<T: AttributeCodec> AttributeCodec for Vec<T> {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::L(self.iter().map(T::to_attribute).collect())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Vec<T>, DecodeError> {
        let AttributeValue::L(list) = attribute else { return Err("not a list".to_owned()) };
        let named = |(nth, value)| T::from_attribute(value).map_err(|why| format!("{nth}: {why}"));
        list.into_iter().enumerate().map(named).collect()
    }
}

impl AttributeCodec for bool {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::Bool(*self)
    }

    fn from_attribute(attribute: AttributeValue) -> Result<bool, DecodeError> {
        attribute.as_bool().copied().map_err(|_| "not a boolean".to_owned())
    }
}

impl AttributeCodec for u64 {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::N(self.to_string())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<u64, DecodeError> {
        integer(&attribute)
    }
}

impl AttributeCodec for i64 {
    fn to_attribute(&self) -> AttributeValue {
        AttributeValue::N(self.to_string())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<i64, DecodeError> {
        integer(&attribute)
    }
}

impl AttributeCodec for Credits {
    fn to_attribute(&self) -> AttributeValue {
        self.as_u64().to_attribute()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Credits, DecodeError> {
        Ok(integer::<u64>(&attribute)?.try_into()?)
    }
}

/// A number of milliseconds since 1970.
impl AttributeCodec for Timestamp {
    fn to_attribute(&self) -> AttributeValue {
        self.millis().to_attribute()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Timestamp, DecodeError> {
        Ok(Timestamp::from_millis(integer(&attribute)?).ok_or("not a timestamp")?)
    }
}

impl AttributeCodec for TransNo {
    fn to_attribute(&self) -> AttributeValue {
        text(&*self.uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    fn from_attribute(attribute: AttributeValue) -> Result<TransNo, DecodeError> {
        Ok(uuid(&attribute)?.try_into()?)
    }
}

impl AttributeCodec for InvocationId {
    fn to_attribute(&self) -> AttributeValue {
        text(self.to_string())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<InvocationId, DecodeError> {
        uuid(&attribute).map(InvocationId::new)
    }
}

impl AttributeCodec for String {
    fn to_attribute(&self) -> AttributeValue {
        text(self)
    }

    fn from_attribute(attribute: AttributeValue) -> Result<String, DecodeError> {
        match attribute {
            AttributeValue::S(text) => Ok(text),
            _ => Err("not a string".to_owned()),
        }
    }
}

impl AttributeCodec for TransType {
    fn to_attribute(&self) -> AttributeValue {
        text(self.to_string())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<TransType, DecodeError> {
        Ok(String::from_attribute(attribute)?.try_into()?)
    }
}

impl AttributeCodec for ChargeType {
    fn to_attribute(&self) -> AttributeValue {
        text(self.to_string())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<ChargeType, DecodeError> {
        match TransType::from_attribute(attribute)? {
            TransType::Charge(charge) => Ok(charge),
            TransType::Grant(_) | TransType::Refund(_) => Err("not the type of a charge".to_owned()),
        }
    }
}

impl<Kind> AttributeCodec for Id<Kind> {
    fn to_attribute(&self) -> AttributeValue {
        text(self.as_str())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Id<Kind>, DecodeError> {
        Ok(String::from_attribute(attribute)?.try_into()?)
    }
}

impl AttributeCodec for Reason {
    fn to_attribute(&self) -> AttributeValue {
        text(self.as_str())
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Reason, DecodeError> {
        Ok(String::from_attribute(attribute)?.try_into()?)
    }
}

/// A map of strings.
impl AttributeCodec for Metadata {
    fn to_attribute(&self) -> AttributeValue {
        let members = self.iter().map(|(name, value)| (name.to_owned(), text(value)));
        let mut map = new_item(members.size_hint().0);
        map.extend(members);
        AttributeValue::M(map)
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Metadata, DecodeError> {
        let members = Attributes::from_map(attribute)?.0.into_iter();
        let member = |(name, value)| Ok::<_, DecodeError>((name, String::from_attribute(value)?));
        Ok(members.map(member).collect::<Result<Vec<_>, _>>()?.try_into()?)
    }
}

fn integer<T: FromStr>(attribute: &AttributeValue) -> Result<T, DecodeError> {
    let number = attribute.as_n().ok().and_then(|number| number.parse().ok());
    number.ok_or_else(|| "not a whole number in range".to_owned())
}

fn uuid(attribute: &AttributeValue) -> Result<Uuid, DecodeError> {
    let uuid = attribute.as_s().ok().and_then(|text| text.parse().ok());
    uuid.ok_or_else(|| "not a UUID".to_owned())
}
