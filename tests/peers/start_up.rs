//! The start of the local stack on a large table.

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use scrip_ops::cli_error::CliError;
use tempfile::TempDir;

use super::stack::{StackApi, StackProgram, peak_memory};
use crate::{engine::Engine, growth::new_user, local_stack::LocalStack};

/// A folder of the local stack with a table of many records, which all starts use.
pub(super) struct FilledTable {
    folder: TempDir,
}

/// A start of the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartUp {
    /// From the start of the process to the first answer.
    pub(super) time: Duration,
    /// Peak memory until then, in KiB.
    pub(super) memory: u64,
}

impl FilledTable {
    /// Fills a table with as many users, each with one grant and its wallet.
    pub(super) async fn fill(grants: u64) -> FilledTable {
        let started = Instant::now();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("credits.db");
        let engine = Engine::start(&file).await;
        engine.import((0..grants).flat_map(|nth| new_user(&format!("user-{nth}"), nth)));
        engine.close();
        // Otherwise the disk would be busy during the first measurements.
        let size = File::open(&file).and_then(|table| table.sync_all()).and_then(|()| fs::metadata(&file));
        let mebibytes = size.expect("the table").len() >> 20;
        let time = started.elapsed().as_secs_f64();
        eprintln!("start-up: a table of {grants} grants, {mebibytes} MiB, filled in {time:.1} s");
        FilledTable { folder }
    }

    /// Starts a stack on the table, and ends it.
    pub(super) async fn start(&self, program: &StackProgram) -> Result<StartUp, CliError> {
        let started = Instant::now();
        let stack = LocalStack::start(&program.path, self.folder.path())?;
        StackApi::new(&stack.url).health().await?;
        let start_up = StartUp { time: started.elapsed(), memory: peak_memory(&stack)? };
        eprintln!("start-up, {}: {:?}", program.name, start_up.time);
        Ok(start_up)
    }
}
