use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::one_trip::{Charge, Item, Pack, value};

/// A write of the prototype's wallet: what it changes, and on which condition.
#[derive(Default)]
pub(super) struct Expression {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: Item,
}

impl Expression {
    /// The version is this one.
    pub(super) fn unchanged(&mut self, version: u64) {
        let version = self.value(version);
        self.conditions.push(format!("version = {version}"));
    }

    /// A pack has enough, and has less.
    pub(super) fn take(&mut self, taken: &Pack) {
        let (pack, credits) = (self.name(&taken.i), self.value(taken.n));
        self.conditions.push(format!("packs.{pack}.n >= {credits}"));
        self.sets.push(format!("packs.{pack}.n = packs.{pack}.n - {credits}"));
    }

    /// A pack has back what was taken. It is there: the prototype drops none.
    pub(super) fn give_back(&mut self, taken: &Pack) {
        let (pack, credits) = (self.name(&taken.i), self.value(taken.n));
        self.sets.push(format!("packs.{pack}.n = packs.{pack}.n + {credits}"));
    }

    /// Sets what the text says, with a value in the place of `name`.
    pub(super) fn set(&mut self, text: &str, name: &str, of: impl Serialize) {
        let of = self.value(of);
        self.sets.push(text.replace(name, &of));
    }

    /// A charge stands in the wallet, where none of its key did.
    pub(super) fn remember(&mut self, place: &str, charge: &Charge) {
        let (place, charge) = (self.name(place), self.value(charge));
        self.conditions.push(format!("attribute_not_exists(recent.{place})"));
        self.sets.push(format!("recent.{place} = {charge}"));
    }

    /// A charge that stands there is voided, if it still stands there as it was.
    pub(super) fn void(&mut self, place: &str, charge: &Charge, at: i64) {
        let voided = Charge { is_voided: true, voided_at: Some(at), ..charge.clone() };
        let (place, was, is) = (self.name(place), self.value(charge), self.value(voided));
        self.conditions.push(format!("recent.{place} = {was}"));
        self.sets.push(format!("recent.{place} = {is}"));
    }

    /// A charge that stands there does no longer, if it still stood there as it was.
    pub(super) fn forget(&mut self, place: &str, charge: &Charge) {
        let (place, was) = (self.name(place), self.value(charge));
        self.conditions.push(format!("recent.{place} = {was}"));
        self.removes.push(format!("recent.{place}"));
    }

    /// The change: each makes the version greater.
    pub(super) fn update(&mut self) -> String {
        let one = self.value(1);
        self.sets.push(format!("version = version + {one}"));
        let sets = format!("SET {}", self.sets.join(", "));
        if self.removes.is_empty() { sets } else { format!("{sets} REMOVE {}", self.removes.join(", ")) }
    }

    /// The condition; of none, that the wallet is there.
    pub(super) fn condition(&self) -> String {
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

    fn value(&mut self, of: impl Serialize) -> String {
        let short = format!(":v{}", self.values.len());
        let of: AttributeValue = value(of);
        self.values.insert(short.clone(), of);
        short
    }
}
