//! Metric math of CloudWatch ("Metric math syntax and functions" in its User Guide),
//! as much of it as the alarms use.
//!
//! It is stricter: what may be missing has to be filled. CloudWatch takes it for 0 here
//! and for missing there.

#![expect(clippy::float_arithmetic, reason = "metrics are floats")]

use std::iter::Peekable;

/// The value of an expression at one moment; `value_of` says that of another expression
/// or metric, which may be missing.
pub(super) fn evaluate(expression: &str, value_of: &dyn Fn(&str) -> Option<f64>) -> f64 {
    let mut reader = Reader { tokens: tokens(expression).peekable(), value_of };
    let value = reader.condition();
    assert_eq!(reader.tokens.next(), None, "{expression}");
    assert!(value.is_finite(), "{expression}: CloudWatch drops what is divided by zero");
    value
}

/// Words and numbers, and signs of one character or two.
fn tokens(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let sign = if rest.starts_with("==") { 2 } else { 1 };
        let (token, after) = rest.split_at_checked(if word > 0 { word } else { sign })?;
        rest = after;
        Some(token)
    })
}

struct Reader<'a, T: Iterator<Item = &'a str>> {
    tokens: Peekable<T>,
    value_of: &'a dyn Fn(&str) -> Option<f64>,
}

impl<'a, T: Iterator<Item = &'a str>> Reader<'a, T> {
    fn takes(&mut self, token: &str) -> bool {
        self.tokens.next_if(|next| *next == token).is_some()
    }

    fn expect(&mut self, token: &str) {
        assert_eq!(self.tokens.next(), Some(token));
    }

    fn condition(&mut self) -> f64 {
        let mut value = self.comparison();
        while self.takes("AND") {
            let other = self.comparison();
            value = truth(value != 0.0 && other != 0.0);
        }
        value
    }

    fn comparison(&mut self) -> f64 {
        let value = self.sum();
        if self.takes(">") {
            truth(value > self.sum())
        } else if self.takes("==") {
            truth(value.total_cmp(&self.sum()).is_eq())
        } else {
            value
        }
    }

    fn sum(&mut self) -> f64 {
        let mut value = self.product();
        while self.takes("+") {
            value += self.product();
        }
        value
    }

    fn product(&mut self) -> f64 {
        let mut value = self.atom();
        loop {
            if self.takes("*") {
                value *= self.atom();
            } else if self.takes("/") {
                value /= self.atom();
            } else {
                return value;
            }
        }
    }

    fn atom(&mut self) -> f64 {
        match self.tokens.next().expect("a value") {
            "(" => {
                let value = self.condition();
                self.expect(")");
                value
            }
            "FILL" => {
                self.expect("(");
                let value = (self.value_of)(self.tokens.next().expect("an id"));
                self.expect(",");
                let filler = self.atom();
                self.expect(")");
                value.unwrap_or(filler)
            }
            "IF" => {
                self.expect("(");
                let [condition, then, otherwise] = [",", ",", ")"].map(|end| {
                    let value = self.condition();
                    self.expect(end);
                    value
                });
                if condition == 0.0 { otherwise } else { then }
            }
            word => {
                word.parse().ok().or_else(|| (self.value_of)(word)).unwrap_or_else(|| panic!("FILL {word}"))
            }
        }
    }
}

fn truth(is_true: bool) -> f64 {
    f64::from(u8::from(is_true))
}
