//! Documents by how relevant they are to a query.

use serde_json::value::RawValue;

use super::Job;
use crate::error::{Error, Result};

/// The job.
#[derive(Debug)]
pub struct Rerank;

/// What to order, and by what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The model to ask.
    pub model: String,
    /// What is looked for.
    pub query: String,
    /// Where.
    pub documents: Vec<Document>,
    /// How many of the best are wanted; all, if it does not say.
    pub top: Option<u64>,
    /// How many tokens of each document count.
    pub tokens_per_document: Option<u64>,
    /// How urgent it is, 0 the most.
    pub priority: Option<i64>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A text.
    Text(String),
    /// An object, as its JSON.
    Object(String),
}

/// One document's place.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    /// Which of the request's documents it is.
    pub index: usize,
    /// How relevant, as the backend wrote the number.
    pub score: &'a RawValue,
}

impl Ranked<'_> {
    /// The score to compare by.
    #[must_use]
    pub fn number(&self) -> f64 {
        self.score.get().parse().unwrap_or(f64::NEG_INFINITY)
    }
}

/// What an answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// How many documents there are.
    pub documents: usize,
    /// How many of the best are wanted.
    pub top: Option<u64>,
}

impl Job for Rerank {
    type Request = Request;
    type Kept = Kept;
    /// The most relevant first.
    type Content<'a> = Vec<Ranked<'a>>;

    fn keep(request: Request) -> Kept {
        Kept { documents: request.documents.len(), top: request.top }
    }

    fn settle(kept: &Kept, content: &mut Vec<Ranked<'_>>) -> Result<()> {
        let mut ranked = vec![false; kept.documents];
        let wrong = content.iter().find_map(|Ranked { index, score }| {
            match ranked.get_mut(*index) {
                None => {
                    return Some(format!(
                        "the backend ranked document {index}, and there are {}",
                        kept.documents
                    ));
                }
                Some(true) => return Some(format!("the backend ranked document {index} twice")),
                Some(first) => *first = true,
            }
            let is_number = score.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
            (!is_number).then(|| format!("the backend's score of document {index} is no number"))
        });
        if let Some(message) = wrong {
            return Err(Error::bad_answer(message));
        }
        // Some leave the documents in the order they came in, all of them.
        content.sort_by(|one, other| other.number().total_cmp(&one.number()));
        content.truncate(kept.top.and_then(|top| top.try_into().ok()).unwrap_or(usize::MAX));
        Ok(())
    }
}
