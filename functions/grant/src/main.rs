//! The `grant` Lambda function, which the crate `scrip` implements.

use std::error::Error;

use scrip::transport::{functions::GRANT, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(GRANT).await
}
