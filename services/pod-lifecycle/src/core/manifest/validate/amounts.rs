//! Amounts of resources: numbers with a suffix, none negative.

use super::{Refusal, refuse};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use messages::Amount;
use std::collections::BTreeMap;

/// Each of a list.
pub(super) fn amounts(list: Option<&BTreeMap<String, Quantity>>, at: &str) -> Result<(), Refusal> {
    list.into_iter()
        .flatten()
        .try_for_each(|(name, quantity)| amount(&quantity.0, format!("{at}[{name:.80}]")))
}

/// One, in a field.
pub(super) fn amount(text: &str, field: String) -> Result<(), Refusal> {
    match text.parse::<Amount>() {
        Ok(amount) if amount < Amount::whole(0) => refuse(field, "must not be negative"),
        Ok(_) => Ok(()),
        Err(error) => refuse(field, error.to_string()),
    }
}
