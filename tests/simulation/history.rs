//! Whether all that was done and told fits into one order, in which everything
//! comes between its call and its answer.

use std::collections::{BTreeMap, BTreeSet};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::model::State;

/// The places at which there is a fence.
pub type Fences = BTreeSet<String>;

/// What is true just after something happened.
pub type Sight<'a> = Box<dyn Fn(&State, &Fences) -> bool + 'a>;

/// Something that happened, or was seen, at one moment.
pub struct Op<'a> {
    /// Whose it was.
    pub tag: &'a str,
    /// What it did.
    pub deed: Deed<'a>,
    /// From when on it can have happened, in counted moments.
    pub from: u64,
    /// Until when; absent where its caller never learned of an end.
    pub to: Option<u64>,
    /// What was seen of the state of just after it.
    pub sight: Sight<'a>,
}

/// What is done to an account.
#[derive(Clone, Copy, Debug)]
pub enum Deed<'a> {
    /// Nothing.
    Look,
    /// The nth change of the wallet; a record that comes so, at this place.
    Change(usize, Option<&'a str>),
    /// A fence is left here.
    Fence(&'a str),
}

/// The account of one user, as the order of deeds has it so far.
#[derive(Clone)]
struct Account<'a> {
    ops: &'a [Op<'a>],
    /// Before, between and after all changes.
    states: &'a [State],
    changes: usize,
    fences: Fences,
}

impl SequentialSpec for Account<'_> {
    /// The number of an operation.
    type Op = usize;
    type Ret = ();

    fn invoke(&mut self, _: &usize) {
        unreachable!("every operation has ended, at the latest after all others");
    }

    fn is_valid_step(&mut self, op: &usize, (): &()) -> bool {
        let Op { deed, sight, .. } = &self.ops[*op];
        match deed {
            Deed::Look => {}
            Deed::Change(_, Some(place)) if self.fences.contains(*place) => return false,
            Deed::Change(nth, _) if *nth != self.changes => return false,
            Deed::Change(..) => self.changes += 1,
            Deed::Fence(place) => drop(self.fences.insert((*place).to_owned())),
        }
        self.states.get(self.changes).is_some_and(|state| sight(state, &self.fences))
    }
}

/// Looks for the order. The changes are given in the order in which they came.
pub fn check(ops: &[Op], states: &[State]) -> Result<(), String> {
    let begins = ops.iter().enumerate().map(|(number, op)| (op.from, true, number));
    let ends = ops.iter().enumerate().map(|(number, op)| (op.to.unwrap_or(u64::MAX), false, number));
    let mut moments: Vec<_> = begins.chain(ends).collect();
    moments.sort_unstable();
    let account = Account { ops, states, changes: 0, fences: Fences::new() };
    let mut tester = LinearizabilityTester::new(account);
    let mut busy = BTreeMap::new();
    for (_, begins, number) in moments {
        if begins {
            // What only looks is tried first: it can stand in nobody's way.
            let is_deed = !matches!(ops[number].deed, Deed::Look);
            let is_free = |thread: &(bool, usize)| !busy.values().any(|taken| taken == thread);
            let thread = (0..).map(|nth| (is_deed, nth)).find(is_free).expect("one of all");
            busy.insert(number, thread);
            tester.on_invoke(thread, number)?;
        } else if let Some(thread) = busy.remove(&number) {
            tester.on_return(thread, ())?;
        }
    }
    if tester.is_consistent() { Ok(()) } else { Err(complaint(ops, states)) }
}

/// Says as well as can be said why there is no order.
fn complaint(ops: &[Op], states: &[State]) -> String {
    let fences: Fences = ops
        .iter()
        .filter_map(|op| if let Deed::Fence(place) = op.deed { Some(place.to_owned()) } else { None })
        .collect();
    let mut complaint = "what was told fits into no order:".to_owned();
    for Op { tag, deed, from, to, sight } in ops {
        let is_ever = states.iter().any(|state| sight(state, &fences) || sight(state, &Fences::new()));
        let remark = if is_ever { "" } else { "; what it was told was never so" };
        complaint += &format!("\n  {tag} from {from} to {to:?}: {deed:?}{remark}");
    }
    complaint
}
