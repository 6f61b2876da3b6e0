//! Iterates over the orders of the ledger's table.

use std::collections::VecDeque;

use futures_util::{Stream, stream};
use scrip::{ledger::Ledger, store::PageKey};

use crate::cli_error::{CliError, deadline};

/// A scan of the table, order by order.
struct OrderNumbers<'a> {
    ledger: &'a Ledger,
    page: VecDeque<String>,
    /// The start of the next page; `None` after the last page.
    next: Option<Option<PageKey>>,
}

/// The numbers of all orders and aliases, also of invalid ones.
pub fn order_numbers(ledger: &Ledger) -> impl Stream<Item = Result<String, CliError>> + Send {
    let numbers = OrderNumbers { ledger, page: VecDeque::new(), next: Some(None) };
    stream::try_unfold(numbers, |mut numbers| async move {
        Ok::<_, CliError>(numbers.next().await?.map(|number| (number, numbers)))
    })
}

impl OrderNumbers<'_> {
    async fn next(&mut self) -> Result<Option<String>, CliError> {
        loop {
            if let Some(number) = self.page.pop_front() {
                return Ok(Some(number));
            }
            let Some(from) = self.next.take() else { return Ok(None) };
            let page = self.ledger.order_numbers(from, deadline(self.ledger)).await;
            let (numbers, next) = page.map_err(|error| CliError::from_ledger("the table", &error))?;
            self.page = numbers.into();
            self.next = next.map(Some);
        }
    }
}
