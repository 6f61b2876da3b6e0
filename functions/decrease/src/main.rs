//! The `decrease` Lambda function: wiring only, the work is in the crate `scrip`.

use std::error::Error;

use scrip::{
    callback::Callbacks,
    transport::{functions::DECREASE, run},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(DECREASE, Callbacks::none()).await
}
