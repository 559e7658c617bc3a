//! Temperature and its kin, of which the newer Claude models take less.

use super::models::ModelNames;
use super::rules::Rule;
use crate::chat::{Losses, Request};
use crate::error::{Error, Result};

/// What is sent.
#[derive(Default)]
pub(in crate::wire) struct Sampling {
    pub(in crate::wire) temperature: Option<f64>,
    pub(in crate::wire) top_p: Option<f64>,
    pub(in crate::wire) top_k: Option<u64>,
}

/// What of the request's sampling its model takes. A value that is the default anyway is no loss.
///
/// # Errors
///
/// 422 for a temperature that no model takes.
pub(in crate::wire) fn sampling(
    request: &Request,
    names: ModelNames<'_>,
    thinks: bool,
    losses: &mut Losses,
) -> Result<Sampling> {
    let Request { mut temperature, mut top_p, mut top_k, .. } = *request;
    if temperature.is_none() && top_p.is_none() && top_k.is_none() {
        return Ok(Sampling::default());
    }
    if !names.takes_sampling() {
        leave_out(&mut temperature, |value| is_default(*value), "temperature", Rule::NoSampling, losses);
        leave_out(&mut top_p, |value| is_default(*value), "top_p", Rule::NoSampling, losses);
        leave_out(&mut top_k, |_| false, "top_k", Rule::NoSampling, losses);
        return Ok(Sampling::default());
    }
    if let Some(temperature) = temperature.filter(|value| !(0.0..=1.0).contains(value)) {
        return Err(Error::unprocessable_at(
            "temperature".to_owned(),
            format_args!(" {temperature:.2} is not supported by Anthropic (must be between 0.0 and 1.0)"),
        ));
    }
    if thinks {
        if temperature.is_some_and(|value| !is_default(value)) {
            leave_out(&mut temperature, |_| false, "temperature", Rule::SamplingAndThoughts, losses);
        }
        if top_p.is_some_and(|value| value < 0.95) {
            leave_out(&mut top_p, |_| false, "top_p", Rule::SamplingAndThoughts, losses);
        }
        leave_out(&mut top_k, |_| false, "top_k", Rule::SamplingAndThoughts, losses);
    }
    if temperature.is_some() && top_p.is_some() && !names.takes_both_temperature_and_top_p() {
        if temperature.is_some_and(is_default) && !top_p.is_some_and(is_default) {
            temperature = None;
        } else {
            leave_out(&mut top_p, |value| is_default(*value), "top_p", Rule::OneSampling, losses);
        }
    }
    Ok(Sampling { temperature, top_p, top_k })
}

/// Both `temperature` and `top_p` are 1 where nothing is said.
fn is_default(value: f64) -> bool {
    (value - 1.0).abs() < f64::EPSILON
}

fn leave_out<T>(
    value: &mut Option<T>,
    is_default: impl FnOnce(&T) -> bool,
    path: &str,
    reason: Rule,
    losses: &mut Losses,
) {
    if value.take().is_some_and(|value| !is_default(&value)) {
        losses.add(path, reason);
    }
}
