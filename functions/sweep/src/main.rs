//! The `sweep` Lambda function, which the crate `scrip` implements.

use std::error::Error;

use scrip::transport::run_sweep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run_sweep().await
}
