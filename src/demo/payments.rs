//! The payments that pretend: a short ledger in memory. Money is counted in
//! minor units, so nothing is rounded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::offer::Answer;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Currency {
    #[serde(rename = "EUR")]
    Eur,
    #[serde(rename = "USD")]
    Usd,
}

impl Currency {
    fn code(self) -> &'static str {
        match self {
            Currency::Eur => "EUR",
            Currency::Usd => "USD",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetPayment {
    /// The id of the payment, for example pay-1042.
    #[schemars(regex(pattern = "^pay-[0-9]{4}$"))]
    id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    /// The id of the payment to refund.
    #[schemars(regex(pattern = "^pay-[0-9]{4}$"))]
    payment_id: String,
    /// How much to give back, in minor units: 24000 is 240.00.
    #[schemars(range(min = 1, max = 1_000_000))]
    amount_minor: u64,
    /// The currency of the payment.
    currency: Currency,
    /// Why, for the books.
    #[schemars(length(min = 3, max = 500))]
    reason: String,
}

/// A payment as get_payment answers it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Payment {
    /// The id of the payment.
    id: &'static str,
    /// Who paid.
    customer: &'static str,
    /// What was paid for.
    order: &'static str,
    /// How much was captured, in minor units.
    amount_minor: u64,
    /// How much of it was given back, in minor units.
    refunded_minor: u64,
    /// The currency of both.
    currency: Currency,
}

#[derive(Debug)]
pub(super) struct Payments(Vec<Payment>);

impl Payments {
    pub(super) fn seeded() -> Self {
        Self(SEED.to_vec())
    }

    pub(super) fn get(&self, asked: &GetPayment) -> Answer {
        match self.0.iter().find(|payment| payment.id == asked.id) {
            Some(payment) => Answer::structured(payment),
            None => missing(&asked.id),
        }
    }

    pub(super) fn refund(&mut self, asked: &Refund) -> Answer {
        let id = &asked.payment_id;
        let Some(payment) = self.0.iter_mut().find(|payment| payment.id == id) else {
            return missing(id);
        };
        if payment.currency != asked.currency {
            return Answer::wrong(format!("`{id}` is in {}", payment.currency.code()));
        }
        let left = payment.amount_minor.saturating_sub(payment.refunded_minor);
        if asked.amount_minor > left {
            return Answer::wrong(format!(
                "only {} of `{id}` can still be refunded",
                money(left, payment.currency)
            ));
        }
        payment.refunded_minor = payment.refunded_minor.saturating_add(asked.amount_minor);
        Answer::text(format!(
            "Refunded {} of {id} to {}: {}. (No money moved: these payments only pretend.)",
            money(asked.amount_minor, payment.currency),
            payment.customer,
            asked.reason
        ))
    }
}

fn money(minor: u64, currency: Currency) -> String {
    format!("{}.{:02} {}", minor / 100, minor % 100, currency.code())
}

fn missing(id: &str) -> Answer {
    Answer::wrong(format!("there is no payment `{id}`"))
}

const SEED: [Payment; 3] = [
    Payment {
        id: "pay-1017",
        customer: "Mina Park",
        order: "1017",
        amount_minor: 6_500,
        refunded_minor: 1_500,
        currency: Currency::Eur,
    },
    Payment {
        id: "pay-1041",
        customer: "Dana Reyes",
        order: "1042",
        amount_minor: 24_000,
        refunded_minor: 0,
        currency: Currency::Usd,
    },
    Payment {
        id: "pay-1042",
        customer: "Dana Reyes",
        order: "1042",
        amount_minor: 24_000,
        refunded_minor: 0,
        currency: Currency::Usd,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refund(payments: &mut Payments, amount_minor: u64, currency: Currency) -> Answer {
        payments.refund(&Refund {
            payment_id: "pay-1017".to_owned(),
            amount_minor,
            currency,
            reason: "damaged".to_owned(),
        })
    }

    #[test]
    fn no_more_is_refunded_than_was_paid() {
        let mut payments = Payments::seeded();
        let all = refund(&mut payments, 5_000, Currency::Eur);
        assert!(matches!(all, Answer::Text(text) if text.contains("50.00 EUR")));
        let more = refund(&mut payments, 1, Currency::Eur);
        assert!(matches!(more, Answer::Wrong(text) if text.contains("only 0.00 EUR")));
    }

    #[test]
    fn a_refund_in_another_currency_is_wrong() {
        let other = refund(&mut Payments::seeded(), 100, Currency::Usd);
        assert!(matches!(other, Answer::Wrong(text) if text.contains("is in EUR")));
    }
}
