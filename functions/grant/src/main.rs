//! The `grant` Lambda function: wiring only, the work is in the crate `scrip`.

use std::error::Error;

use scrip::transport::{functions::GRANT, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(GRANT).await
}
