//! Whether all that was done and told fits into one order, in which everything
//! comes between its call and its answer.

use std::collections::HashSet;

use crate::model::State;

/// What is true just after something happened.
pub type Sight<'a> = Box<dyn Fn(&State) -> bool + 'a>;

/// Something that happened, or was seen, at one moment.
pub struct Op<'a> {
    /// Whose it was.
    pub tag: &'a str,
    /// What it did.
    pub deed: Deed,
    /// From when on it can have happened, in counted moments.
    pub from: u64,
    /// Until when; absent where its caller never learned of an end.
    pub to: Option<u64>,
    /// What was seen of the state of just after it.
    pub sight: Sight<'a>,
}

/// What is done to an account.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// Nothing.
    Look,
    /// The nth change of the wallet.
    Change(usize),
}

/// An order so far: what has come, and what that has brought about.
struct Order<'a> {
    ops: &'a [Op<'a>],
    /// Before, between and after all changes.
    states: &'a [State],
    has_come: Vec<bool>,
    changes: usize,
}

impl<'a> Order<'a> {
    /// Those that may come next: nothing that is still to come ended before they
    /// began.
    fn open(&self) -> impl Iterator<Item = usize> + use<'a> {
        let to_come = || self.has_come.iter().enumerate().filter(|(_, has_come)| !**has_come);
        let end = to_come().filter_map(|(number, _)| self.ops[number].to).min().unwrap_or(u64::MAX);
        let open = to_come().map(|(number, _)| number).filter(|number| self.ops[*number].from <= end);
        open.collect::<Vec<_>>().into_iter()
    }

    /// This order, and this after it; none where it cannot have been so.
    fn and(&self, number: usize) -> Option<Order<'a>> {
        let mut next = Order { has_come: self.has_come.clone(), ..*self };
        let Op { deed, sight, .. } = &self.ops[number];
        match deed {
            Deed::Look => {}
            Deed::Change(nth) if *nth != self.changes => return None,
            Deed::Change(_) => next.changes += 1,
        }
        next.has_come[number] = true;
        self.states.get(next.changes).is_some_and(sight).then_some(next)
    }

    /// Lets come all that only looks, and is so now. It changes nothing and stands in
    /// nobody's way, so no other order needs to be tried for it.
    fn look(&mut self) {
        let is_look = |number: &usize| matches!(self.ops[*number].deed, Deed::Look);
        let mut looks: Vec<_> = self.open().filter(is_look).collect();
        while let Some(next) = looks.pop() {
            if let Some(next) = self.and(next) {
                *self = next;
                looks = self.open().filter(is_look).collect();
            }
        }
    }
}

/// Looks for the order. The changes are given in the order in which they came.
///
/// What has come decides what may follow, whatever order it came in: so nothing is
/// tried twice, and a history that fits into no order is told in good time.
pub fn check(ops: &[Op], states: &[State]) -> Result<(), String> {
    let has_come = vec![false; ops.len()];
    let mut orders = vec![Order { ops, states, has_come, changes: 0 }];
    let mut tried = HashSet::new();
    while let Some(mut order) = orders.pop() {
        order.look();
        if order.has_come.iter().all(|has_come| *has_come) {
            return Ok(());
        }
        if tried.insert(order.has_come.clone()) {
            orders.extend(order.open().filter_map(|number| order.and(number)));
        }
    }
    Err(complaint(ops, states))
}

/// Says as well as can be said why there is no order.
fn complaint(ops: &[Op], states: &[State]) -> String {
    let mut complaint = "what was told fits into no order:".to_owned();
    for Op { tag, deed, from, to, sight } in ops {
        let is_ever = states.iter().any(sight);
        let remark = if is_ever { "" } else { "; what it was told was never so" };
        complaint += &format!("\n  {tag} from {from} to {to:?}: {deed:?}{remark}");
    }
    complaint
}
