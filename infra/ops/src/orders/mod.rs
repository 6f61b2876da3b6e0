//! Compares the payments of a provider's export with the orders of the ledger. Writes nothing.

mod amount;
mod columns;
mod compare;
mod difference;
mod payment;

use std::{
    collections::HashSet,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use scrip::{domain::Timestamp, ledger::Ledger};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

pub use columns::{ColumnName, MissingColumns};
pub use difference::{Difference, RefundDifference, Summary};
pub use payment::{InputError, RowProblem};

use crate::{cli_error::CliError, migrate, order_numbers::order_numbers, progress::Progress};
use compare::{PaymentOutcome, compare_payment, compare_unpaid};
use payment::Payments;

/// Orders that are read concurrently.
const CONCURRENT_ORDERS: usize = 16;

/// Options of the command `orders`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Export of the payments as CSV with a header; Stripe's needs no other option
    #[arg(long, value_name = "FILE", required = true)]
    pub verify: PathBuf,
    /// Columns of another provider: order=Order ID,amount=Total. Fields: order, user, amount,
    /// refunded, status, currency, credits, created; refunded= says that there is no such column
    #[arg(long, value_name = "FIELD=COLUMN", value_delimiter = ',', value_parser = ColumnName::parse)]
    pub columns: Vec<ColumnName>,
    /// Orders of other origins than the file, by the start of their number; repeatable
    #[arg(long = "skip-prefix", value_name = "TEXT")]
    pub skip_prefixes: Vec<String>,
    /// Grants since then need a payment of the file; default: the first paid row
    #[arg(long, value_name = "TIME", value_parser = migrate::parse_time)]
    pub since: Option<Timestamp>,
    /// Grants until then need a payment of the file; default: the last paid row
    #[arg(long, value_name = "TIME", value_parser = migrate::parse_time)]
    pub until: Option<Timestamp>,
}

/// The reason why a comparison ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrdersError {
    /// The file is unusable. Nothing was compared.
    Input(InputError),
    /// The ledger failed, or the output cannot be written.
    Command(CliError),
}

impl From<CliError> for OrdersError {
    fn from(error: CliError) -> OrdersError {
        OrdersError::Command(error)
    }
}

impl From<InputError> for OrdersError {
    fn from(error: InputError) -> OrdersError {
        OrdersError::Input(error)
    }
}

/// Compares the file with the ledger. Writes each difference as a line of JSON, and the summary
/// as the last one.
///
/// # Errors
/// The file is unusable, or the ledger or the output failed. A difference is not an error.
pub async fn verify(
    ledger: &Ledger,
    settings: &Settings,
    output: &mut impl Write,
) -> Result<Summary, OrdersError> {
    let mut summary = summarize(&settings.verify, &settings.columns)?;
    summary.since = settings.since.or(summary.since);
    summary.until = settings.until.or(summary.until);
    let mut report = Report { summary, output };
    let paid = compare_payments(ledger, settings, &mut report).await?;
    compare_orders(ledger, settings, &paid, &mut report).await?;
    report.write_line(&json!({ "summary": &report.summary }))?;
    Ok(report.summary)
}

/// Writes and counts differences.
struct Report<'a, Output> {
    summary: Summary,
    output: &'a mut Output,
}

impl<Output: Write> Report<'_, Output> {
    fn add(&mut self, difference: &Difference) -> Result<(), CliError> {
        self.summary.count(difference);
        self.write_line(difference)
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(line).map_err(|error| CliError(error.to_string()))?;
        writeln!(self.output, "{line}").map_err(|error| CliError(format!("standard output: {error}")))
    }
}

/// Reads the whole file once, so that an unusable row ends the command before it compares.
fn summarize(file: &Path, columns: &[ColumnName]) -> Result<Summary, InputError> {
    let (mut summary, mut payments) = (Summary::default(), Payments::open(file, columns)?);
    while let Some(payment) = payments.next_row()? {
        if payments.is_paid(&payment) {
            summary.payments += 1;
            summary.since = Some(summary.since.map_or(payment.created, |since| since.min(payment.created)));
            summary.until = summary.until.max(Some(payment.created));
        }
        *summary.statuses.entry(payment.status).or_default() += 1;
    }
    if summary.payments == 0 { Err(InputError::NoPayments) } else { Ok(summary) }
}

/// Compares each paid row with its order. Returns the orders that the rows name, as hashes, so
/// that a large file fits into memory.
async fn compare_payments(
    ledger: &Ledger,
    settings: &Settings,
    report: &mut Report<'_, impl Write>,
) -> Result<HashSet<Uuid>, OrdersError> {
    let mut progress = Progress::start(Some(report.summary.payments), "payments");
    let mut rows = Payments::open(&settings.verify, &settings.columns)?;
    let states_credits = rows.states_credits();
    let paid = std::iter::from_fn(move || rows.next_paid().transpose());
    let mut comparisons = stream::iter(paid)
        .map(|payment| async move {
            let payment = payment?;
            let outcome = compare_payment(ledger, &payment, states_credits).await?;
            Ok::<_, OrdersError>((payment, outcome))
        })
        .buffered(CONCURRENT_ORDERS);
    let mut named = HashSet::new();
    while let Some((payment, outcome)) = comparisons.try_next().await? {
        named.extend(payment.orders.iter().map(|order| fingerprint(order)));
        add_outcome(outcome, &mut named, report)?;
        progress.advance(1);
    }
    progress.finish();
    Ok(named)
}

fn add_outcome(
    outcome: PaymentOutcome,
    named: &mut HashSet<Uuid>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), CliError> {
    match outcome {
        PaymentOutcome::Granted(order_no, differences) => {
            named.insert(fingerprint(order_no.as_str()));
            differences.iter().try_for_each(|difference| report.add(difference))?;
        }
        PaymentOutcome::Missing(difference) => report.add(&difference)?,
        PaymentOutcome::RefundedWithoutGrant => report.summary.refunded_without_grant += 1,
        PaymentOutcome::WithoutCredits => report.summary.without_credits += 1,
    }
    Ok(())
}

/// Looks for grants in the time range that no paid row names.
async fn compare_orders(
    ledger: &Ledger,
    settings: &Settings,
    paid: &HashSet<Uuid>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), OrdersError> {
    let (Some(since), Some(until)) = (report.summary.since, report.summary.until) else { return Ok(()) };
    let mut progress = Progress::start(None, "orders without a payment");
    let is_other = |number: &String| {
        let is_skipped = settings.skip_prefixes.iter().any(|prefix| number.starts_with(prefix));
        !is_skipped && !paid.contains(&fingerprint(number))
    };
    let others = order_numbers(ledger).try_filter(|number| std::future::ready(is_other(number)));
    let compare = |number: String| async move { compare_unpaid(ledger, &number, since, until).await };
    let comparisons = others.map_ok(compare).try_buffered(CONCURRENT_ORDERS);
    let mut comparisons = std::pin::pin!(comparisons);
    while let Some(difference) = comparisons.try_next().await? {
        report.summary.other_orders += 1;
        difference.iter().try_for_each(|difference| report.add(difference))?;
        progress.advance(1);
    }
    progress.finish();
    Ok(())
}

fn fingerprint(order: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, order.as_bytes())
}
