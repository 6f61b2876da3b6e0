//! The steps that commands decide by a view, without a store.

mod records;
mod revoke;
mod settlement;

use uuid::Uuid;

use super::*;
use crate::domain::{
    AdjustmentKind, Allocation, Charge, ChargeType, GrantType, Id, InvocationId, RevocationKind, Void,
    wallet::tests::{a_charge, a_grant, at, credits},
};

const OWN: u128 = 1;
const OTHER: u128 = 2;

fn invocation(id: u128) -> InvocationId {
    InvocationId::new(Uuid::from_u128(id))
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

/// A wallet after charges of one credit and of generation `g`, with and without idempotency
/// keys; and the charges.
fn charged(keys: &[Option<&str>]) -> (Wallet, Vec<(RecordKey, Charge)>) {
    let (mut wallet, _) = Wallet::default().grant(&a_grant((100, None)), invocation(OTHER), at(0)).unwrap();
    let mut charges = Vec::new();
    for key in keys {
        let request = ChargeRequest { generation: Some(id("g")), key: key.map(id), ..a_charge(1) };
        let (next, charge) = wallet.charge(&request, invocation(OTHER), at(0)).unwrap();
        wallet = next;
        charges.push((request.identity().unwrap(), charge));
    }
    (wallet, charges)
}

/// The wallet after the void of these charges, and the charges.
fn voided(wallet: &Wallet, charges: &[(RecordKey, Charge)], by: u128) -> (Wallet, Vec<(RecordKey, Charge)>) {
    let (wallet, at, _) = wallet.void(charges.iter().map(|(_, charge)| charge), at(0)).unwrap();
    let void = Void::new(at, reason(), invocation(by));
    let charge = |(key, charge): &(RecordKey, Charge)| {
        (key.clone(), Charge { void: Some(void.clone()), ..charge.clone() })
    };
    (wallet, charges.iter().map(charge).collect())
}

fn reason() -> crate::domain::Reason {
    "it failed".to_owned().try_into().unwrap()
}

fn a_view() -> View {
    View::new(invocation(OWN), invocation(OWN), TransactionLimits { records: 99, bytes: 1_000_000 })
}

/// A view after reads of the wallet and of these charges.
fn view(wallet: &Wallet, charges: &[(RecordKey, Charge)]) -> View {
    let mut view = a_view();
    view.set_wallet(wallet.clone());
    for (key, charge) in charges {
        let record = Some(Record::Charge(charge.clone()));
        view.set_record(RecordLookup { key: key.clone(), record, bytes: 1_000 });
    }
    view
}

/// A view after a read of the wallet and a query of the generation.
fn queried(wallet: &Wallet, charges: &[(RecordKey, Charge)]) -> View {
    let mut view = view(wallet, charges);
    view.set_generation_complete();
    view
}

fn describe(step: Result<Step, LedgerError>) -> String {
    match step {
        Err(LedgerError::Internal(_)) => "internal".to_owned(),
        Err(error) => format!("{error:?}"),
        Ok(Step::Done) => "done".to_owned(),
        Ok(Step::Read(ReadRequest::Wallet)) => "read the wallet".to_owned(),
        Ok(Step::Read(ReadRequest::WalletAndRecord(_))) => "read wallet and record".to_owned(),
        Ok(Step::Read(ReadRequest::Generation(_))) => "query".to_owned(),
        Ok(Step::Read(ReadRequest::Snapshot(keys))) => format!("read a snapshot of {}", keys.len()),
        Ok(Step::Commit(plan)) => match &plan.changes[..] {
            [] => format!("state {}", plan.orders.len()),
            changes @ [RecordChange::Revoke(..), ..] => describe_revocations(changes),
            [RecordChange::Create(_, Record::Fence(_))] => "fence".to_owned(),
            [RecordChange::NoteSuccess(..)] => "note".to_owned(),
            changes @ [RecordChange::Void(..), ..] => format!("void {}", changes.len()),
            changes @ [RecordChange::Adjust(..), ..] => describe_adjustments(changes),
            changes => format!("create {}", changes.len()),
        },
    }
}

/// The adjustments among these changes.
fn describe_adjustments(changes: &[RecordChange]) -> String {
    let adjustment = |change: &RecordChange| {
        let RecordChange::Adjust(_, _, Adjustment { kind, .. }) = change else { return None };
        Some(match kind {
            AdjustmentKind::Settled(settlement) => format!("settle to {}", settlement.cost()),
            AdjustmentKind::Returned { outputs, .. } => {
                format!("return {:?}", outputs.numbers().collect::<Vec<_>>())
            }
            AdjustmentKind::Repaid(taken) => {
                format!("repay {}", taken.iter().map(|part: &Allocation| part.credits).sum::<Credits>())
            }
            AdjustmentKind::Delivered => "deliver".to_owned(),
        })
    };
    changes.iter().filter_map(adjustment).collect::<Vec<_>>().join(", ")
}

/// The changes of grants among these changes.
fn describe_revocations(changes: &[RecordChange]) -> String {
    let sum = |parts: &[Allocation]| parts.iter().map(|part| part.credits).sum::<Credits>();
    let revocation = |change: &RecordChange| {
        let RecordChange::Revoke(_, _, Revocation { kind, .. }, _) = change else { return None };
        Some(match kind {
            RevocationKind::Revoked { taken, paid, shortfall, owed } => {
                format!("take {taken}, paid {}, keep {shortfall}, owe {owed}", sum(paid))
            }
            RevocationKind::Restored { owed, shortfall, paid, returned, .. } => {
                format!("return {returned}, paid {paid}, kept {shortfall}, owed {owed}")
            }
            RevocationKind::Repaid(paid) => format!("repay {}", sum(paid)),
        })
    };
    changes.iter().filter_map(revocation).collect::<Vec<_>>().join("; ")
}

/// A view after a grant of 10 and this charge, which is of generation `g`.
fn charged_view(charge: ChargeRequest) -> View {
    let (wallet, _) = Wallet::default().grant(&a_grant((10, None)), invocation(OTHER), at(0)).unwrap();
    let request = ChargeRequest { generation: Some(id("g")), ..charge };
    let (wallet, charge) = wallet.charge(&request, invocation(OTHER), at(0)).unwrap();
    view(&wallet, &[(request.identity().unwrap(), charge)])
}

/// The view after this command of another invocation.
fn after(command: &impl Command, mut view: View) -> View {
    let own = std::mem::replace(&mut view.invocation, invocation(OTHER));
    while let Step::Commit(plan) = command.next(&view, at(0)).unwrap() {
        view.set_committed(plan);
    }
    view.invocation = own;
    view
}

fn refund(source: RefundSource, outputs: &[u8]) -> RefundRequest {
    RefundRequest {
        user: None,
        generation: id("g"),
        key: None,
        trans_no: None,
        outputs: outputs.to_vec().try_into().ok(),
        source,
        reason: reason(),
    }
}
