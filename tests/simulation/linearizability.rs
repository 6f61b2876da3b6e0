//! Searches for one order of a user's operations that explains every response: each
//! operation takes effect between its invocation and its completion.

use std::collections::HashSet;

use crate::state::State;

/// Whether what a caller observed agrees with the state directly after the operation.
pub type Observation<'a> = Box<dyn Fn(&State) -> bool + 'a>;

/// A write or a read that takes effect at one moment.
pub struct Operation<'a> {
    /// Tag of the attempt that made it.
    pub tag: &'a str,
    pub change: StateChange,
    /// The first moment at which it can take effect, as a sequence number.
    pub from: u64,
    /// The last such moment; absent if its caller never learned the outcome.
    pub to: Option<u64>,
    pub observation: Observation<'a>,
}

/// What an operation does to an account.
#[derive(Clone, Copy, Debug)]
pub enum StateChange {
    /// It only reads.
    None,
    /// It makes the nth change of the wallet.
    Nth(usize),
}

/// The beginning of an order: the operations that it contains, and the number of changes.
struct PartialOrder<'a> {
    operations: &'a [Operation<'a>],
    /// Before, between and after all changes.
    states: &'a [State],
    is_placed: Vec<bool>,
    changes: usize,
}

impl<'a> PartialOrder<'a> {
    /// Operations that may come next: every operation that is not placed yet completes
    /// after they were invoked.
    fn candidates(&self) -> impl Iterator<Item = usize> + use<'a> {
        let remaining = || self.is_placed.iter().enumerate().filter(|(_, is_placed)| !**is_placed);
        let first_completion =
            remaining().filter_map(|(index, _)| self.operations[index].to).min().unwrap_or(u64::MAX);
        let candidates = remaining()
            .map(|(index, _)| index)
            .filter(|index| self.operations[*index].from <= first_completion);
        candidates.collect::<Vec<_>>().into_iter()
    }

    /// This order followed by an operation, if the operation agrees with the state.
    fn followed_by(&self, index: usize) -> Option<PartialOrder<'a>> {
        let mut next = PartialOrder { is_placed: self.is_placed.clone(), ..*self };
        let Operation { change, observation, .. } = &self.operations[index];
        match change {
            StateChange::None => {}
            StateChange::Nth(nth) if *nth != self.changes => return None,
            StateChange::Nth(_) => next.changes += 1,
        }
        next.is_placed[index] = true;
        self.states.get(next.changes).is_some_and(observation).then_some(next)
    }

    /// Places every read that agrees with the present state. A read changes nothing and
    /// delays no other operation, so no other order has to be tried for it.
    fn place_reads(&mut self) {
        let is_read = |index: &usize| matches!(self.operations[*index].change, StateChange::None);
        let mut reads: Vec<_> = self.candidates().filter(is_read).collect();
        while let Some(index) = reads.pop() {
            if let Some(next) = self.followed_by(index) {
                *self = next;
                reads = self.candidates().filter(is_read).collect();
            }
        }
    }
}

/// Searches for the order. The changes are given in the order of their commits.
///
/// The set of placed operations decides what may follow, in whatever order they were
/// placed. So each set is tried once, and an inexplicable history is found in good time.
pub fn check(operations: &[Operation], states: &[State]) -> Result<(), String> {
    let is_placed = vec![false; operations.len()];
    let mut orders = vec![PartialOrder { operations, states, is_placed, changes: 0 }];
    let mut tried = HashSet::new();
    while let Some(mut order) = orders.pop() {
        order.place_reads();
        if order.is_placed.iter().all(|is_placed| *is_placed) {
            return Ok(());
        }
        if tried.insert(order.is_placed.clone()) {
            orders.extend(order.candidates().filter_map(|index| order.followed_by(index)));
        }
    }
    Err(describe_failure(operations, states))
}

/// Lists the operations, and marks those that agree with no state at all.
fn describe_failure(operations: &[Operation], states: &[State]) -> String {
    let mut description = "no order explains the responses:".to_owned();
    for Operation { tag, change, from, to, observation } in operations {
        let agrees = states.iter().any(observation);
        let remark = if agrees { "" } else { "; its response agrees with no state" };
        description += &format!("\n  {tag} from {from} to {to:?}: {change:?}{remark}");
    }
    description
}
