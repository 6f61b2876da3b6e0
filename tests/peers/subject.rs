//! What is measured: local stacks and designs on PostgreSQL.

use std::{sync::Arc, time::Duration};

use scrip_ops::cli_error::CliError;
use scrip_tests::process::{ProcessStat, children};

use super::{
    closed_loop::Outcome,
    postgres::{Design, OneTableCaller, Postgres, RowLocksCaller, RowLocksFunctionCaller},
    stack::{Stack, StackApi, StackProgram},
};

/// Grants of each wallet.
pub(super) const PACKS: [&str; 3] = ["2097-01-01T00:00:00Z", "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"];

pub(super) enum Subject {
    Stack(StackProgram),
    Postgres(Design),
}

/// A started subject, with storage of its own. Dropping it ends its processes and removes its data.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Running {
    Stack(Stack),
    Postgres(Postgres),
}

/// A connection to a subject.
pub(super) enum Caller {
    Stack(StackApi),
    OneTable(OneTableCaller),
    RowLocks(RowLocksCaller),
    RowLocksFunction(RowLocksFunctionCaller),
}

/// The answer to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Charged,
    /// The code of an error.
    Error(String),
}

impl Subject {
    pub(super) fn name(&self) -> &str {
        match self {
            Subject::Stack(program) => &program.name,
            Subject::Postgres(design) => design.name(),
        }
    }

    pub(super) async fn start(&self) -> Result<Running, CliError> {
        Ok(match self {
            Subject::Stack(program) => Running::Stack(Stack::start(program)?),
            Subject::Postgres(design) => Running::Postgres(Postgres::start(*design).await?),
        })
    }
}

impl Running {
    /// Grants each wallet packs of this many credits. Returns the names of the wallets.
    pub(super) async fn grant(&self, wallets: usize, pack: i64) -> Result<Vec<String>, CliError> {
        let wallets: Vec<_> = (0..wallets).map(|nth| format!("user-{nth}")).collect();
        for wallet in &wallets {
            for expired_at in PACKS {
                match self {
                    Running::Stack(stack) => stack.api.grant(wallet, pack, expired_at).await?,
                    Running::Postgres(postgres) => postgres.grant(wallet, pack, expired_at).await?,
                }
            }
        }
        Ok(wallets)
    }

    pub(super) async fn callers(&self, number: usize) -> Result<Vec<Arc<Caller>>, CliError> {
        let mut callers = Vec::new();
        for _ in 0..number {
            callers.push(Arc::new(match self {
                Running::Stack(stack) => Caller::Stack(StackApi::new(&stack.api.url)),
                Running::Postgres(postgres) => postgres.caller().await?,
            }));
        }
        Ok(callers)
    }

    pub(super) async fn balance(&self, wallet: &str) -> Result<i64, CliError> {
        match self {
            Running::Stack(stack) => stack.api.balance(wallet).await,
            Running::Postgres(postgres) => postgres.balance(wallet).await,
        }
    }

    /// Compares each balance with the credits granted less those whose charge was answered as
    /// written. Returns the credits by which wallets are overdrawn.
    ///
    /// # Errors
    /// If a balance is another one. A charge with an error as its answer must have written nothing.
    pub(super) async fn check_balances(
        &self,
        wallets: &[String],
        granted: i64,
        outcome: &Outcome,
    ) -> Result<i64, CliError> {
        let mut overdraft = 0;
        for (wallet, charged) in wallets.iter().zip(&outcome.charged) {
            let (expected, balance) = (granted - charged, self.balance(wallet).await?);
            if balance != expected {
                let errors = &outcome.errors;
                let message = format!("{wallet}: the balance is {balance}, the answers give {expected}");
                return Err(CliError(format!("{message}; errors: {errors:?}")));
            }
            overdraft += (-balance).max(0);
        }
        Ok(overdraft)
    }

    /// Processor time of the server so far.
    pub(super) fn processor_time(&self) -> Result<Duration, CliError> {
        let time = || match self {
            Running::Stack(stack) => Ok(ProcessStat::of(stack.process.id())?.own),
            Running::Postgres(postgres) => {
                let server = ProcessStat::of(postgres.postmaster)?;
                let running = children(postgres.postmaster)?.iter().map(|child| child.own).sum::<Duration>();
                Ok(server.own + server.ended_children + running)
            }
        };
        time().map_err(|error: std::io::Error| CliError(format!("the server has ended: {error}")))
    }
}

impl Caller {
    /// Charges a wallet one credit for a generation.
    pub(super) async fn charge(&self, wallet: &str, generation: &str) -> Result<Answer, CliError> {
        match self {
            Caller::Stack(api) => api.charge(wallet, generation).await,
            Caller::OneTable(caller) => caller.charge(wallet, generation).await,
            Caller::RowLocks(caller) => caller.charge(wallet, generation).await,
            Caller::RowLocksFunction(caller) => caller.charge(wallet, generation).await,
        }
    }
}
