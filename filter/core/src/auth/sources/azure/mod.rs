//! Tokens of Microsoft Entra ID for Azure OpenAI.

mod app;
mod by_default;
mod managed;
#[cfg(test)]
mod tests;

pub use app::{AzureApp, AzureProof};
pub use by_default::AzureDefault;
pub use managed::{AzureManaged, ManagedServer};
