//! The `balance` Lambda function, which the crate `scrip` implements.

use std::error::Error;

use scrip::transport::{functions::BALANCE, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(BALANCE).await
}
