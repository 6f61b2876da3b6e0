//! What a subject does if there are too few credits for all callers, and with a repeated charge.

use std::collections::BTreeMap;

use scrip_ops::cli_error::CliError;

use super::{
    closed_loop::{self, Stop},
    postgres::Design,
    subject::{PACKS, Running, Subject},
};

const CALLERS: usize = 16;
/// Credits of each pack of the wallet.
const PACK: i64 = 100;
/// Credits of the wallet.
pub(super) const CREDITS: i64 = PACK * PACKS.len() as i64;
/// Charges of one credit.
pub(super) const CHARGES: u64 = 2 * CREDITS.unsigned_abs();

/// The answers when credits suffice for half of the charges.
#[derive(Clone, Debug)]
pub(super) struct Consistency {
    /// Charges that were answered as written.
    pub(super) written: u64,
    /// Number of other answers by their code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Credits charged beyond those of the wallet.
    pub(super) overdraft: i64,
    /// Credits charged for two requests with the same generation.
    pub(super) repeated: i64,
}

impl Consistency {
    /// Races callers for one wallet, then repeats a charge of another.
    ///
    /// # Errors
    /// If a subject overdraws the wallet or charges twice, and its design should not.
    pub(super) async fn run(subject: &Subject) -> Result<Consistency, CliError> {
        let running = subject.start().await?;
        let wallets = running.grant(1, PACK).await?;
        let callers = running.callers(CALLERS).await?;
        let outcome = closed_loop::run(&callers, &wallets, Stop::Sent(CHARGES)).await?;
        let overdraft = running.check_balances(&wallets, CREDITS, &outcome).await?;
        let repeated = repeat(&running).await?;
        let (name, written) = (subject.name(), outcome.written());
        eprintln!("races, {name}: {written} charges of {CREDITS} credits; a repeated one: {repeated}");
        if !matches!(subject, Subject::Postgres(Design::OneTable)) && (overdraft > 0 || repeated != 1) {
            let message = format!("{overdraft} credits overdrawn, {repeated} for a repeated charge");
            return Err(CliError(message));
        }
        Ok(Consistency { written, errors: outcome.errors, overdraft, repeated })
    }
}

/// Sends a charge twice. Returns the credits that were charged.
async fn repeat(running: &Running) -> Result<i64, CliError> {
    let wallets = running.grant(2, PACK).await?;
    let wallet = &wallets[1];
    let before = running.balance(wallet).await?;
    for caller in running.callers(2).await? {
        caller.charge(wallet, "repeated").await?;
    }
    Ok(before - running.balance(wallet).await?)
}
