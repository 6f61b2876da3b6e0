//! The `history` Lambda function, which the crate `scrip` implements.

use std::error::Error;

use scrip::transport::{functions::HISTORY, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(HISTORY).await
}
