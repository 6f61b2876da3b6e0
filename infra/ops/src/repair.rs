//! Rebuilds a user's wallet from the records.

use std::{collections::BTreeMap, fmt};

use clap::Args;
use scrip::{
    domain::{Discrepancy, Pack, Timestamp, Totals, UserId, Wallet},
    ledger::{self, Ledger},
};

use crate::{
    cli_error::{CliError, deadline},
    users,
};

/// Options of the command `repair`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The user whose wallet is checked
    #[arg(long, value_name = "USER_UUID", value_parser = users::parse_user)]
    pub user: UserId,
    /// Write the rebuilt wallet; otherwise only show it
    #[arg(long)]
    pub write: bool,
}

/// The discrepancies of a user, and the repair.
#[derive(Clone, Debug)]
pub struct Report {
    user: UserId,
    repair: ledger::Repair,
    /// The balances are as of then.
    at: Timestamp,
}

/// Plans a repair, and writes it if the settings say so.
///
/// # Errors
/// The ledger failed, or has nothing of the user. Discrepancies are in the report.
pub async fn repair(ledger: &Ledger, settings: &Settings) -> Result<Report, CliError> {
    let (user, deadline) = (&settings.user, deadline(ledger));
    let result = if settings.write {
        ledger.repair(user, deadline).await
    } else {
        ledger.plan_repair(user, deadline).await
    };
    let repair = result.map_err(|error| CliError::from_ledger(&format!("user {user}"), &error))?;
    if repair.before.is_none() && repair.discrepancies.is_empty() {
        return Err(CliError(format!("user {user}: the table has nothing of this user")));
    }
    Ok(Report { user: user.clone(), repair, at: ledger.now() })
}

impl Report {
    /// Fails unless the wallet is right, or is after a repair.
    ///
    /// # Errors
    /// The first discrepancy that is not the wallet's.
    pub fn require_repairable(&self) -> Result<(), CliError> {
        let discrepancies = &self.repair.discrepancies;
        if discrepancies.is_empty() || discrepancies.is_repairable() {
            return Ok(());
        }
        let first = discrepancies.listed().find(|discrepancy| !discrepancy.is_repairable());
        let reason = first.map_or_else(|| "one of many discrepancies".to_owned(), Discrepancy::to_string);
        let user = &self.user;
        Err(CliError(format!(
            "user {user}: nothing was written, because not only the wallet is wrong: {reason}"
        )))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger::Repair { discrepancies, records, before, after, trans_no: written } = &self.repair;
        writeln!(f, "user {}, {records} records, {} discrepancies", self.user, discrepancies.count())?;
        for discrepancy in discrepancies.listed() {
            let verdict = if discrepancy.is_repairable() { "repairable" } else { "not repairable" };
            writeln!(f, "    {discrepancy}: {verdict}")?;
        }
        if discrepancies.unlisted() > 0 {
            writeln!(f, "    and {} more", discrepancies.unlisted())?;
        }
        let Some(after) = after else { return Ok(()) };
        writeln!(f, "the wallet -> the wallet rebuilt from the records:")?;
        let (old, new) = (fields(before.as_ref(), self.at), fields(Some(after), self.at));
        for (name, old, new) in differences(&old, &new) {
            writeln!(f, "    {name}: {old} -> {new}")?;
        }
        match written {
            None => writeln!(f, "dry run: nothing was written; add --write to write the rebuilt wallet"),
            Some(repair) => writeln!(f, "written, with the repair trail repair#{repair}"),
        }
    }
}

/// The values of a wallet, by name.
fn fields(wallet: Option<&Wallet>, at: Timestamp) -> BTreeMap<String, String> {
    let Some(wallet) = wallet else { return BTreeMap::new() };
    let packs =
        wallet.packs.iter().map(|pack| (format!("pack {}", pack.grant.trans_no), describe_pack(pack)));
    let totals = wallet
        .totals
        .iter()
        .map(|(trans_type, totals)| (format!("totals of {trans_type}"), describe_totals(totals)));
    let version = wallet.version.map(|version| ("version".to_owned(), version.to_string()));
    let rest = [
        ("balance".to_owned(), wallet.balance(at).to_string()),
        ("has keyed charges".to_owned(), wallet.has_keyed_charges.to_string()),
        ("fences".to_owned(), wallet.fences.to_string()),
    ];
    packs.chain(totals).chain(version).chain(rest).collect()
}

fn describe_pack(pack: &Pack) -> String {
    let grant = &pack.grant;
    let order = grant.order_no.as_ref().map_or_else(String::new, |order| format!(" of order {order}"));
    let end = grant.expired_at.map_or_else(String::new, |at| format!(" until {at}"));
    format!("{} of {} {}{order}{end}", pack.remaining, grant.credits, grant.trans_type)
}

fn describe_totals(Totals { created, voided }: &Totals) -> String {
    format!("{} in {}, voided {} in {}", created.credits, created.count, voided.credits, voided.count)
}

/// Name and both values of each field that differs.
fn differences<'a>(
    old: &'a BTreeMap<String, String>,
    new: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let value = |fields: &'a BTreeMap<String, String>, name| fields.get(name).map_or("none", String::as_str);
    names
        .into_iter()
        .map(move |name| (name.as_str(), value(old, name), value(new, name)))
        .filter(|(_, old, new)| old != new)
}
