//! A user's wallet, put right by the records.

use std::{collections::BTreeMap, fmt};

use clap::Args;
use scrip::{
    domain::{Discrepancy, Pack, Timestamp, Totals, UserId, Wallet},
    ledger::{self, Ledger},
};

use crate::problem::{Problem, deadline};

/// Whose, and whether it is done.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Whose wallet
    #[arg(long, value_name = "USER_UUID", value_parser = user)]
    pub user: UserId,
    /// Do it; without this it is only told
    #[arg(long)]
    pub write: bool,
}

fn user(text: &str) -> Result<UserId, &'static str> {
    UserId::try_from(text.to_owned())
}

/// What is wrong, and what is done about it.
#[derive(Clone, Debug)]
pub struct Report {
    user: UserId,
    repair: ledger::Repair,
    /// When the balances are of.
    at: Timestamp,
}

/// Plans a repair, or does it where the settings say so.
///
/// # Errors
/// What stopped it, in one line. What is wrong is in the report.
pub async fn repair(ledger: &Ledger, settings: &Settings) -> Result<Report, Problem> {
    let (user, deadline) = (&settings.user, deadline(ledger));
    let repaired = if settings.write {
        ledger.repair(user, deadline).await
    } else {
        ledger.plan_repair(user, deadline).await
    };
    let repair = repaired.map_err(|error| Problem::of_ledger(&format!("user {user}"), &error))?;
    if repair.before.is_none() && repair.discrepancies.is_empty() {
        return Err(Problem(format!("user {user}: the table has nothing of this user")));
    }
    Ok(Report { user: user.clone(), repair, at: ledger.now() })
}

impl Report {
    /// Whether all is well, or would be after a repair.
    ///
    /// # Errors
    /// The first thing that no record can put right.
    pub fn ended(&self) -> Result<(), Problem> {
        let discrepancies = &self.repair.discrepancies;
        if discrepancies.is_empty() || discrepancies.is_repairable() {
            return Ok(());
        }
        let first = discrepancies.listed().find(|discrepancy| !discrepancy.is_repairable());
        let why = first.map_or_else(|| "one of very many faults".to_owned(), Discrepancy::to_string);
        let user = &self.user;
        Err(Problem(format!("user {user}: nothing is written, because more is wrong than the wallet: {why}")))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger::Repair { discrepancies, records, before, after, trans_no: written } = &self.repair;
        writeln!(f, "user {}, {records} records, {} faults", self.user, discrepancies.count())?;
        for discrepancy in discrepancies.listed() {
            let by_whom = if discrepancy.is_repairable() { "the wallet's" } else { "not the wallet's" };
            writeln!(f, "    {discrepancy}: {by_whom}")?;
        }
        if discrepancies.unlisted() > 0 {
            writeln!(f, "    and {} more", discrepancies.unlisted())?;
        }
        let Some(after) = after else { return Ok(()) };
        writeln!(f, "what the wallet says, and what the records give:")?;
        let (said, given) = (fields(before.as_ref(), self.at), fields(Some(after), self.at));
        for (name, said, given) in differences(&said, &given) {
            writeln!(f, "    {name}: {said} -> {given}")?;
        }
        match written {
            None => writeln!(f, "nothing is written; --write does it"),
            Some(repair) => writeln!(f, "written, and kept as repair#{repair}"),
        }
    }
}

/// All that a wallet says, by name.
fn fields(wallet: Option<&Wallet>, at: Timestamp) -> BTreeMap<String, String> {
    let Some(wallet) = wallet else { return BTreeMap::new() };
    let packs = wallet.packs.iter().map(|pack| (format!("pack {}", pack.grant.trans_no), of_pack(pack)));
    let totals = wallet.totals.iter().map(|(of, totals)| (format!("totals of {of}"), of_totals(totals)));
    let version = wallet.version.map(|version| ("version".to_owned(), version.to_string()));
    let rest = [
        ("balance".to_owned(), wallet.balance(at).to_string()),
        ("keyed".to_owned(), wallet.has_keyed_charges.to_string()),
        ("fences".to_owned(), wallet.fences.to_string()),
    ];
    packs.chain(totals).chain(version).chain(rest).collect()
}

fn of_pack(pack: &Pack) -> String {
    let grant = &pack.grant;
    let order = grant.order_no.as_ref().map_or_else(String::new, |order| format!(" of order {order}"));
    let end = grant.expired_at.map_or_else(String::new, |at| format!(" until {at}"));
    format!("{} of {} {}{order}{end}", pack.remaining, grant.credits, grant.trans_type)
}

fn of_totals(Totals { created, voided }: &Totals) -> String {
    format!("{} in {}, voided {} in {}", created.credits, created.count, voided.credits, voided.count)
}

/// What is not the same: its name, and both values.
fn differences<'a>(
    said: &'a BTreeMap<String, String>,
    given: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let mut names: Vec<_> = said.keys().chain(given.keys()).collect();
    names.sort();
    names.dedup();
    let value = |of: &'a BTreeMap<String, String>, name| of.get(name).map_or("nothing", String::as_str);
    names
        .into_iter()
        .map(move |name| (name.as_str(), value(said, name), value(given, name)))
        .filter(|(_, said, given)| said != given)
}
