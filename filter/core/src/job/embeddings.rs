//! Vectors of texts.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Job;
use crate::chat::Losses;
use crate::error::{Error, Result};

/// The job.
#[derive(Debug)]
pub struct Embeddings;

/// What to embed, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The model to ask.
    pub model: String,
    /// What to embed. Each gets its own vector.
    pub inputs: Vec<Input>,
    /// The client sent the only input by itself, not in a list.
    pub is_single: bool,
    /// How many numbers a vector shall have.
    pub dimensions: Option<u64>,
    /// How they are written.
    pub encoding: Encoding,
    /// What all vectors are for, whatever the inputs say.
    pub purpose: Option<Purpose>,
    /// The title of all inputs, likewise.
    pub title: Option<String>,
    /// What becomes of an input that is longer than the model takes.
    pub truncate: Option<Truncate>,
    /// Who asks.
    pub user: Option<String>,
}

/// One thing to embed.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// What it is.
    pub content: Content,
    /// What its vector is for.
    pub purpose: Option<Purpose>,
    /// The title of the document that it is.
    pub title: Option<String>,
}

/// What an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A text as the tokens of the model's own tokenizer.
    Tokens(Vec<u64>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As lists of numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// What a vector is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// The use.
    pub aim: Aim,
    /// The member in which the client said it.
    pub member: &'static str,
}

/// The uses that models make a difference between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// To search with.
    Query,
    /// To be searched.
    Document,
    /// To search for code with.
    CodeQuery,
    /// To search for answers with.
    Question,
    /// To search for evidence with.
    Fact,
    /// To be compared.
    Similarity,
    /// To be sorted into classes.
    Classification,
    /// To be grouped.
    Clustering,
}

/// What becomes of an input that is longer than the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncate {
    /// What is cut off.
    pub cut: Cut,
    /// The member in which the client said it.
    pub member: &'static str,
}

/// What is cut off of what is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing: it is an error.
    Nothing,
    /// Its beginning.
    Start,
    /// Its end.
    End,
}

/// What codecs ask of a request.
impl Request {
    /// Where the client has the input of this index.
    #[must_use]
    pub fn place(&self, index: usize) -> Place {
        Place::of(self.is_single, index)
    }

    /// The inputs, for an API that takes texts only.
    ///
    /// # Errors
    ///
    /// 422 for tokens: only their own tokenizer can make a text of them.
    pub fn texts(&self) -> Result<Vec<&str>> {
        let texts = self.inputs.iter().enumerate().map(|(index, input)| match &input.content {
            Content::Text(text) => Ok(text.as_str()),
            Content::Tokens(_) => {
                let what = ": the backend takes texts, and these are tokens";
                Err(Error::unprocessable_at(self.place(index).to_string(), what))
            }
        });
        texts.collect()
    }

    /// The input, for an API that takes one text.
    ///
    /// # Errors
    ///
    /// 422 for several, and for tokens.
    pub fn text(&self) -> Result<&str> {
        match self.texts()?.as_slice() {
            [text] => Ok(text),
            texts => {
                let what = format!(": the model takes one input in a request, and these are {}", texts.len());
                Err(Error::unprocessable_at("input".to_owned(), what))
            }
        }
    }

    /// What the vector of an input is for.
    #[must_use]
    pub fn purpose_of(&self, input: &Input) -> Option<Purpose> {
        self.purpose.or(input.purpose)
    }

    /// What the vectors are for, for an API that has one word for all of them.
    ///
    /// # Errors
    ///
    /// 422 where the inputs say different things.
    pub fn one_purpose(&self) -> Result<Option<Purpose>> {
        let mut purposes = self.inputs.iter().map(|input| self.purpose_of(input)).enumerate();
        let Some((_, first)) = purposes.next() else { return Ok(self.purpose) };
        let aim = |purpose: Option<Purpose>| purpose.map(|purpose| purpose.aim);
        match purposes.find(|(_, purpose)| aim(*purpose) != aim(first)) {
            None => Ok(first),
            Some((index, purpose)) => {
                let member = purpose.or(first).map_or("", |purpose| purpose.member);
                let place = format!("{}.{member}", self.place(index));
                Err(Error::unprocessable_at(place, ": the backend takes one purpose for all inputs"))
            }
        }
    }

    /// Where the client says what the vector of an input is for.
    #[must_use]
    pub fn place_of_purpose(&self, index: usize, purpose: Purpose) -> String {
        match self.purpose {
            Some(_) => purpose.member.to_owned(),
            None => format!("{}.{}", self.place(index), purpose.member),
        }
    }

    /// Records the titles, for an API that has none.
    pub fn lose_titles(&self, losses: &mut Losses, reason: &'static str) {
        if self.title.is_some() {
            losses.add("title", reason);
        }
        for (index, _) in self.inputs.iter().enumerate().filter(|(_, input)| input.title.is_some()) {
            losses.add(format_args!("{}.title", self.place(index)), reason);
        }
    }
}

/// Where the client has an input.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    index: Option<usize>,
}

impl Place {
    fn of(is_single: bool, index: usize) -> Place {
        Place { index: (!is_single).then_some(index) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => f.write_str("input"),
            Some(index) => write!(f, "input[{index}]"),
        }
    }
}

/// What an answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// How many vectors there must be.
    pub count: usize,
    /// How they are written.
    pub encoding: Encoding,
    /// [`Request::is_single`]
    pub is_single: bool,
}

impl Kept {
    /// [`Request::place`]
    #[must_use]
    pub fn place(&self, index: usize) -> Place {
        Place::of(self.is_single, index)
    }
}

impl Job for Embeddings {
    type Request = Request;
    type Kept = Kept;
    type Content<'a> = Vec<Vector<'a>>;

    fn keep(request: Request) -> Kept {
        Kept { count: request.inputs.len(), encoding: request.encoding, is_single: request.is_single }
    }

    fn settle(kept: &Kept, content: &mut Vec<Vector<'_>>) -> Result<()> {
        if kept.count == content.len() {
            return Ok(());
        }
        let message = format!("the backend answered {} inputs with {} vectors", kept.count, content.len());
        Err(Error::bad_answer(message))
    }
}

/// A vector as its backend wrote it: the text of a list of numbers. Vectors are nearly all of an answer, and each
/// number passes with all its digits.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Vector<'a>(&'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for Vector<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        // It is JSON. What has nothing but these in its brackets is a list of numbers.
        let is_number = |byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let is_between = |byte: u8| byte == b',' || byte.is_ascii_whitespace();
        match numbers(raw) {
            Some(inner) if inner.bytes().all(|byte| is_number(byte) || is_between(byte)) => Ok(Vector(raw)),
            _ => Err(D::Error::custom("a vector is a list of numbers")),
        }
    }
}

impl Vector<'_> {
    /// The same in base64, see [`Encoding::Base64`]. Each number becomes the 32-bit float that is nearest to what is
    /// written.
    #[must_use]
    pub fn base64(&self) -> String {
        let numbers = numbers(self.0).unwrap_or_default().split(',').map(str::trim);
        let floats = numbers.filter_map(|number| number.parse::<f32>().ok());
        STANDARD.encode(floats.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
    }
}

/// What is within the brackets of a list.
fn numbers(list: &RawValue) -> Option<&str> {
    list.get().strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(json: &str) -> serde_json::Result<Vector<'_>> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_vector_keeps_every_digit() {
        let json = "[0.10000000000000000555, -1E-7,\n0,1]";
        assert_eq!(serde_json::to_string(&vector(json).unwrap()).unwrap(), json);
        for wrong in ["null", "{}", "1", "\"AAAA\"", "[[1]]", "[null]", "[\"1\"]", "[true]", "[1,{}]", "[e]"]
        {
            assert!(vector(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_is_little_endian_floats() {
        assert_eq!(vector("[1.0, -2 ,0.5]").unwrap().base64(), "AACAPwAAAMAAAAA/");
        assert_eq!(vector("[]").unwrap().base64(), "");
        // Halfway between two floats but for its last digit: by way of a double it would be the lower one.
        let expected = STANDARD.encode(1.000_000_1_f32.to_le_bytes());
        assert_eq!(vector("[1.00000005960464477540]").unwrap().base64(), expected);
    }
}
