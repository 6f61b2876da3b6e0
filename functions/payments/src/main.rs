//! The `payments` Lambda function, which the crate `scrip` implements.

use std::error::Error;

use scrip::transport::run_payments;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run_payments().await
}
