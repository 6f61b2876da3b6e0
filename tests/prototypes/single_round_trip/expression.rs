//! Builds the update of the prototype's wallet.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::{Charge, Item, Pack, value};

/// The changes of one write of the wallet, and its conditions.
#[derive(Default)]
pub(super) struct Expression {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: Item,
}

impl Expression {
    /// Requires this version.
    pub(super) fn require_version(&mut self, version: u64) {
        let version = self.value(version);
        self.conditions.push(format!("version = {version}"));
    }

    /// Takes credits from a pack, and requires that it has enough.
    pub(super) fn take(&mut self, allocation: &Pack) {
        let (pack, credits) = (self.name(&allocation.i), self.value(allocation.n));
        self.conditions.push(format!("packs.{pack}.n >= {credits}"));
        self.sets.push(format!("packs.{pack}.n = packs.{pack}.n - {credits}"));
    }

    /// Restores credits to a pack. The prototype removes no pack, so it exists.
    pub(super) fn restore(&mut self, allocation: &Pack) {
        let (pack, credits) = (self.name(&allocation.i), self.value(allocation.n));
        self.sets.push(format!("packs.{pack}.n = packs.{pack}.n + {credits}"));
    }

    /// Adds a SET action. A value replaces `placeholder` in the text.
    pub(super) fn set(&mut self, text: &str, placeholder: &str, value: impl Serialize) {
        let value = self.value(value);
        self.sets.push(text.replace(placeholder, &value));
    }

    /// Adds a charge, and requires that the wallet has none with its key.
    pub(super) fn add_charge(&mut self, sort: &str, charge: &Charge) {
        let (name, charge) = (self.name(sort), self.value(charge));
        self.conditions.push(format!("attribute_not_exists(recent.{name})"));
        self.sets.push(format!("recent.{name} = {charge}"));
    }

    /// Voids a charge in the wallet, and requires that it is unchanged.
    pub(super) fn void_charge(&mut self, sort: &str, charge: &Charge, at: i64) {
        let voided = Charge { is_voided: true, voided_at: Some(at), ..charge.clone() };
        let (name, old, new) = (self.name(sort), self.value(charge), self.value(voided));
        self.conditions.push(format!("recent.{name} = {old}"));
        self.sets.push(format!("recent.{name} = {new}"));
    }

    /// Removes a charge, and requires that it is unchanged.
    pub(super) fn remove_charge(&mut self, sort: &str, charge: &Charge) {
        let (name, old) = (self.name(sort), self.value(charge));
        self.conditions.push(format!("recent.{name} = {old}"));
        self.removes.push(format!("recent.{name}"));
    }

    /// The update expression, which also increments the version.
    pub(super) fn update_expression(&mut self) -> String {
        let one = self.value(1);
        self.sets.push(format!("version = version + {one}"));
        let sets = format!("SET {}", self.sets.join(", "));
        if self.removes.is_empty() { sets } else { format!("{sets} REMOVE {}", self.removes.join(", ")) }
    }

    /// The condition expression. Without conditions it requires that the wallet exists.
    pub(super) fn condition_expression(&self) -> String {
        if self.conditions.is_empty() {
            "attribute_exists(sk)".to_owned()
        } else {
            self.conditions.join(" AND ")
        }
    }

    fn name(&mut self, name: &str) -> String {
        let short = format!("#n{}", self.names.len());
        self.names.insert(short.clone(), name.to_owned());
        short
    }

    fn value(&mut self, content: impl Serialize) -> String {
        let short = format!(":v{}", self.values.len());
        let attribute: AttributeValue = value(content);
        self.values.insert(short.clone(), attribute);
        short
    }
}
