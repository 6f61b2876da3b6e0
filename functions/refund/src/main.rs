//! The `refund` Lambda function, which the crate `scrip` implements.

use std::error::Error;

use scrip::transport::{functions::REFUND, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(REFUND).await
}
